//! Numbers and tables as people read them.

/// Three digits, in the unit that keeps them before the point.
pub(crate) fn time(nanos: f64) -> String {
    in_unit(nanos, 1000.0, &["ns", "µs", "ms", "s"])
}

/// Bytes a second.
pub(crate) fn throughput(bytes: f64) -> String {
    in_unit(bytes, 1000.0, &["B/s", "kB/s", "MB/s", "GB/s", "TB/s"])
}

/// A length in bytes, which is a power of two or near one.
pub(crate) fn size(bytes: u64) -> String {
    in_unit(bytes as f64, 1024.0, &["B", "KiB", "MiB", "GiB"])
        .replace(".00 ", " ")
        .replace(".0 ", " ")
}

fn in_unit(mut number: f64, step: f64, units: &[&str]) -> String {
    let mut left = units;
    // What would be rounded up to a step has one.
    while number >= step - 0.5 && left.len() > 1 {
        number /= step;
        left = &left[1..];
    }
    format!("{} {}", three_digits(number), left[0])
}

fn three_digits(number: f64) -> String {
    match number {
        ..9.995 => format!("{number:.2}"),
        ..99.95 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}

/// How many times as long: `0.0039x`, `1.04x`, `51x`.
pub(crate) fn ratio(ratio: f64) -> String {
    match ratio {
        ..0.0995 => format!("{}x", two_digits(ratio)),
        ..1.995 => format!("{ratio:.2}x"),
        ..9.95 => format!("{ratio:.1}x"),
        _ => format!("{ratio:.0}x"),
    }
}

/// Of a number below a tenth, those that are not zeroes.
fn two_digits(number: f64) -> String {
    let zeroes = -number.log10().floor();
    // There is an end to the digits of what is nothing.
    let decimals = zeroes.clamp(1.0, 9.0) as usize + 1;
    format!("{number:.decimals$}")
}

pub(crate) fn percent(part: f64) -> String {
    format!("{:.0} %", part * 100.0)
}

/// A Markdown table, whose first column is words and the others are numbers, in columns that line up in its source too.
pub(crate) fn table(head: &[String], rows: &[Vec<String>]) -> String {
    let all = || std::iter::once(head).chain(rows.iter().map(Vec::as_slice));
    let width = |column| {
        all()
            .filter_map(|row| row.get(column))
            .map(|cell: &String| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<_> = (0..head.len()).map(|column| width(column).max(3)).collect();
    let line = |row: &[String]| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if column == 0 { format!(" {cell:<width$} |") } else { format!(" {cell:>width$} |") }
        });
        format!("|{}\n", cells.collect::<String>())
    };
    let rule = |(column, &width): (usize, &usize)| {
        let dashes = "-".repeat(width);
        if column == 0 { format!(" {dashes} |") } else { format!(" {}: |", &dashes[1..]) }
    };
    let rule = widths.iter().enumerate().map(rule).collect::<String>();
    let rows = rows.iter().map(|row| line(row)).collect::<String>();
    format!("{}|{rule}\n{rows}", line(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        let times = [0.51, 9.994, 9.996, 99.96, 999.4, 999.6, 25_400.0, 3.1e6, 2e12];
        let expected = [
            "0.51 ns", "9.99 ns", "10.0 ns", "100 ns", "999 ns", "1.00 µs", "25.4 µs", "3.10 ms",
            "2000 s",
        ];
        assert_eq!(times.map(time), expected);
        assert_eq!(
            [8, 1024, 65_536, 1 << 20, 1536].map(size),
            ["8 B", "1 KiB", "64 KiB", "1 MiB", "1.50 KiB"]
        );
        assert_eq!(throughput(3e6), "3.00 MB/s");
        assert_eq!(
            [0.974, 1.04, 2.0, 51.4, 1234.0].map(ratio),
            ["0.97x", "1.04x", "2.0x", "51x", "1234x"]
        );
        assert_eq!(
            [0.003_91, 0.0152, 0.0994, 0.0996, 0.1, 1e-12].map(ratio),
            ["0.0039x", "0.015x", "0.099x", "0.10x", "0.10x", "0.0000000000x"]
        );
        assert_eq!(percent(0.204), "20 %");
    }

    #[test]
    fn tables_line_up() {
        let cells = |cells: &[&str]| cells.iter().map(|&cell| cell.to_owned()).collect::<Vec<_>>();
        let table = table(&cells(&["", "8 B"]), &[cells(&["pipe", "1.00 µs"]), cells(&["a", "2"])]);
        let expected = "\
|      |     8 B |
| ---- | ------: |
| pipe | 1.00 µs |
| a    |       2 |
";
        assert_eq!(table, expected);
    }
}
