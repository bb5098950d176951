//! Charts, as SVG that is readable on white and on black.

mod axis;
mod bars;
mod colour;
mod labels;
mod lines;
mod svg;

pub(crate) use self::{
    bars::{Bar, Bars},
    lines::{Line, Lines},
};
