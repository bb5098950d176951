use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

/// A Python process that does one case of a script as often as it is told, and measures it itself.
#[derive(Debug)]
pub struct Python {
    process: Child,
    counts: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Python {
    /// The version of `python3`; `None` where there is none.
    pub fn version() -> Option<String> {
        let output = Command::new("python3").arg("--version").output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Starts Python with a case of `peers/pool.py`: its name, then its parameters.
    ///
    /// # Panics
    ///
    /// Where Python cannot be started.
    pub fn start(case: &[&str]) -> Self {
        Self::start_script(concat!(env!("CARGO_MANIFEST_DIR"), "/peers/pool.py"), case)
    }

    /// Starts Python with a case of another script.
    ///
    /// # Panics
    ///
    /// Where Python cannot be started.
    pub fn start_script(script: &str, case: &[&str]) -> Self {
        let mut process = Command::new("python3")
            .arg(script)
            .args(case)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3, which has just told its version");
        let counts = process.stdin.take();
        let answers = process.stdout.take().expect("it is piped");
        Self { process, counts, answers: BufReader::new(answers) }
    }

    /// Does the case `count` times: how long that took, by Python's own clock.
    ///
    /// # Panics
    ///
    /// Where the script has ended, with its reason on standard error.
    pub fn measure(&mut self, count: u64) -> Duration {
        let counts = self.counts.as_mut().expect("open until this is dropped");
        writeln!(counts, "{count}").expect("a script that reads");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("a script that answers");
        Duration::from_nanos(answer.trim().parse().expect("a number of nanoseconds"))
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // At the end of its input it ends its pool and then itself.
        self.counts = None;
        if let Err(error) = self.process.wait() {
            eprintln!("python3 cannot be waited for: {error}");
        }
    }
}
