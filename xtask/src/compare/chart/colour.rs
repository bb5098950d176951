//! What a line or a bar looks like.

use super::svg::GREY;
use crate::compare::subject::Kind;

/// Each is as dark on white as it is light on black.
pub(crate) const fn of(kind: Kind) -> &'static str {
    match kind {
        Kind::Memory | Kind::Ours => "#1f7ae0",
        Kind::Pipe => "#178a45",
        Kind::Socket => "#8e5bd6",
        Kind::Queue => "#b0851a",
        Kind::Event => "#0f9aa8",
        Kind::Contender => "#d1495b",
        Kind::Other => "#a0692b",
        Kind::Limit => GREY,
    }
}

/// Words for the legend.
pub(crate) const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Memory => "ours, in shared memory",
        Kind::Ours => "ours",
        Kind::Pipe => "pipes",
        Kind::Socket => "sockets",
        Kind::Queue => "message queues",
        Kind::Event => "semaphores, signals",
        Kind::Contender => "others' crates, std, Python",
        Kind::Other => "other",
        Kind::Limit => "limit",
    }
}

/// Tells lines of one colour apart.
pub(crate) const fn dash(index: usize) -> &'static str {
    const DASHES: [&str; 6] = ["", "7 3", "2 2.5", "10 3 2 3", "4 2", "14 4"];
    DASHES[index % DASHES.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the Web Content Accessibility Guidelines.
    fn luminance(colour: &str) -> f64 {
        let channel = |start: usize| {
            let part =
                f64::from(u8::from_str_radix(&colour[start..start + 2], 16).unwrap()) / 255.0;
            if part <= 0.03928 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(one: &str, other: &str) -> f64 {
        let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
        one.max(other) / one.min(other)
    }

    #[test]
    fn all_are_readable_on_white_and_on_black() {
        use Kind::{Contender, Event, Limit, Memory, Other, Ours, Pipe, Queue, Socket};
        for kind in [Memory, Ours, Pipe, Socket, Queue, Event, Contender, Other, Limit] {
            for background in ["#ffffff", "#0d1117"] {
                // What the guidelines ask for in graphics.
                assert!(contrast(of(kind), background) > 3.0, "{kind:?} on {background}");
            }
        }
    }
}
