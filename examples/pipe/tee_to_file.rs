//! What `tee(1)` does, without a byte passing through this process: `tee(2)` and `splice(2)`.

use std::{
    fs::{self, File},
    io,
    process::{Command, Stdio},
};

fn main() -> io::Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("log");
    let log = File::create(&path)?;

    // seq 5 | this program | sort -r
    let (source, into_source) = mp_pipe::pipe()?;
    let (sorted_input, into_sort) = mp_pipe::pipe()?;
    let mut seq = Command::new("seq").arg("5").stdout(Stdio::from(into_source)).spawn()?;
    let mut sort = Command::new("sort")
        .arg("-r")
        .stdin(Stdio::from(sorted_input))
        .stdout(Stdio::piped())
        .spawn()?;

    loop {
        let copied = source.tee_to(&into_sort, 1 << 16)?;
        if copied == 0 {
            break;
        }
        println!("{copied} bytes to `sort`, which stay in the pipe");
        let mut left = copied;
        while left > 0 {
            left -= source.splice_to(&log, left)?;
        }
        println!("{copied} bytes to the log");
    }
    drop(into_sort);

    let output = io::read_to_string(sort.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?)?;
    println!("sort: {}", output.split_whitespace().collect::<Vec<_>>().join(" "));
    println!(
        "log:  {}",
        fs::read_to_string(&path)?.split_whitespace().collect::<Vec<_>>().join(" ")
    );
    seq.wait()?;
    sort.wait()?;
    Ok(())
}
