//! The short table in the document that helps to choose.

use super::{
    figure::{Figure, Figures},
    report::sizes,
    subject::{self, Kind},
    text::{table, time},
};

const BEGIN: &str = "<!-- latency: begin, by `cargo xtask compare` -->\n";
const END: &str = "<!-- latency: end -->";

/// The document with the table of these figures; `None` where it has no place for it.
pub(crate) fn fill(document: &str, figures: &Figures) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{}{END}{after}", of(figures)))
}

fn of(figures: &Figures) -> String {
    let functions = subject::explained(figures.iter().map(|figure| figure.id.function.as_str()));
    let is_ours =
        |name: &str| !matches!(subject::of(name), Kind::Contender | Kind::Limit | Kind::Other);
    // Variants are in the long document.
    let is_short =
        |name: &str| !["-named", "-u64", "-batch"].iter().any(|variant| name.ends_with(variant));
    let functions = functions.into_iter().filter(|(name, _)| is_short(name));
    let rows =
        functions.filter(|(name, _)| is_ours(name)).filter_map(|(name, _)| row(name, figures));
    let head =
        ["", "there and back, awake", "asleep", "on one core", "one way, 8 B", "4 KiB", "1 MiB"];
    table(&head.map(str::to_owned), &rows.collect::<Vec<_>>())
}

/// `None` for whom nobody asked to carry messages.
fn row(function: &str, figures: &Figures) -> Option<Vec<String>> {
    let shortest = |group: &str| {
        let value = sizes(group, figures).first().map_or(String::new(), u64::to_string);
        figures.get(group, function, &value)
    };
    let cells = [
        shortest("round-trip-awake").or_else(|| shortest("round-trip-spinning")),
        shortest("round-trip-asleep"),
        shortest("round-trip-same-core"),
        figures.get("one-way", function, "8"),
        figures.get("one-way", function, "4096"),
        figures.get("one-way", function, "1048576"),
    ];
    cells.iter().any(Option::is_some).then(|| {
        let cell =
            |figure: Option<&Figure>| figure.map_or("–".to_owned(), |figure| time(figure.nanos));
        std::iter::once(format!("`{function}`")).chain(cells.into_iter().map(cell)).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::figure::{Work, tests::figures},
        *,
    };

    #[test]
    fn the_table_takes_the_place_of_the_old_one() {
        let figures = figures(&[
            ("round-trip-awake", "pipe", "8", Work::Bytes(16), 5000.0),
            ("round-trip-spinning", "shm-spin", "8", Work::Bytes(16), 100.0),
            ("one-way", "pipe", "4096", Work::Bytes(4096), 700.0),
            ("one-way", "ipc-channel", "4096", Work::Bytes(4096), 700.0),
        ]);
        let document = format!("before\n{BEGIN}old\n{END}\nafter\n");
        let filled = fill(&document, &figures).unwrap();
        assert!(filled.starts_with("before\n") && filled.ends_with(&format!("{END}\nafter\n")));
        assert!(!filled.contains("old") && !filled.contains("ipc-channel"), "{filled}");
        assert!(filled.contains("| `shm-spin` |") && filled.contains(" 5.00 µs |"), "{filled}");
        assert_eq!(fill(&filled, &figures).unwrap(), filled);
        assert_eq!(fill("no place", &figures), None);
    }

    #[test]
    fn the_document_has_a_place() {
        let document = include_str!("../../../docs/choosing.md");
        assert!(document.contains(BEGIN) && document.contains(END));
    }
}
