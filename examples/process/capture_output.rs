//! What a process prints: captured in memory, where it may be read while the process runs and after it was killed; and a
//! dialogue through pipes.

use std::io::{BufRead, BufReader, Write, stdin};

use mp_core::{Process, Result, Stdio};

/// Prints much, has a program print something too, and crashes.
fn report(lines: usize) {
    for line in 1..=lines {
        println!("line {line}");
    }
    let _ = std::process::Command::new("echo").arg("and a program of its own").status();
    eprintln!("about to crash");
    std::process::abort();
}

/// Answers each line with its length, until there are no more.
fn measure(_: ()) -> usize {
    stdin()
        .lock()
        .lines()
        .map_while(|line| line.ok())
        .map(|line| println!("{}", line.len()))
        .count()
}

fn main() -> Result<()> {
    let builder = Process::builder().stdout(Stdio::captured()).stderr(Stdio::captured());
    // A pipe would be full long before: nobody reads while the process runs.
    let child = builder.spawn(report, 50_000)?;
    let (Some(out), Some(err)) = (child.captured_stdout(), child.captured_stderr()) else {
        unreachable!("both are captured")
    };
    if let Err(error) = child.join() {
        println!("it was {error}, and left");
    }
    let text = out.text()?;
    println!("  {} lines, the last of which is {:?}", text.lines().count(), text.lines().last());
    println!("  {:?} on standard error", err.text()?);

    let builder = Process::builder().stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = builder.spawn(measure, ())?;
    if let (Some(mut to), Some(from)) = (child.take_stdin(), child.take_stdout()) {
        let mut answers = BufReader::new(from).lines();
        for word in ["one", "three", "eleven"] {
            if writeln!(to, "{word}").is_err() {
                break;
            }
            println!("{word}: {}", answers.next().and_then(|line| line.ok()).unwrap_or_default());
        }
    }
    println!("{} words were measured", child.join()?);
    Ok(())
}
