//! The test kit on itself: each audit is seen to fail, the watchdog to end a hang, the children to live and die.

mod audit;
mod children;
mod inject;
mod isolation;
mod python;
mod sweep;
