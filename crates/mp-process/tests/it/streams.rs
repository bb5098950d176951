//! Standard streams of all kinds.

use std::io::{self, BufRead, BufReader, Read, Write};

use mp_process::{Builder, StartMethod, Stdio};
use mp_testkit::isolated;
use nix::libc;

use crate::every_method;

/// Repeats its input on both outputs.
fn echo(_: ()) -> usize {
    let text = io::read_to_string(io::stdin()).unwrap();
    print!("out {text}");
    eprint!("err {text}");
    text.len()
}

#[test]
fn pipes_to_and_from_a_process() {
    isolated(|| {
        every_method(|method| {
            let piped = Builder::new().start_method(method);
            let piped = piped.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            // Each process has pipes of its own.
            for text in ["one", "two"] {
                let mut child = piped.spawn(echo, ()).unwrap();
                child.take_stdin().unwrap().write_all(text.as_bytes()).unwrap();
                assert!(child.take_stdin().is_none());
                let out = io::read_to_string(child.take_stdout().unwrap()).unwrap();
                let err = io::read_to_string(child.take_stderr().unwrap()).unwrap();
                assert_eq!((out, err), (format!("out {text}"), format!("err {text}")));
                assert_eq!(child.join().unwrap(), text.len());
            }
        });
    });
}

#[test]
fn a_join_ends_the_input() {
    isolated(|| {
        every_method(|method| {
            let builder = Builder::new().start_method(method).stdin(Stdio::piped());
            let builder = builder.stdout(Stdio::null()).stderr(Stdio::null());
            assert_eq!(builder.spawn(echo, ()).unwrap().join().unwrap(), 0);
        });
    });
}

#[test]
fn a_dialogue() {
    fn count(_: ()) -> usize {
        let lines = io::stdin().lock().lines();
        lines.map(|line| println!("{}", line.unwrap().len())).count()
    }
    isolated(|| {
        every_method(|method| {
            let builder = Builder::new().start_method(method);
            let mut child =
                builder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn(count, ()).unwrap();
            let (mut to, mut from) =
                (child.take_stdin().unwrap(), BufReader::new(child.take_stdout().unwrap()));
            for text in ["a\n", "abc\n"] {
                to.write_all(text.as_bytes()).unwrap();
                let mut answer = String::new();
                from.read_line(&mut answer).unwrap();
                assert_eq!(answer.trim(), (text.len() - 1).to_string());
            }
            drop(to);
            assert_eq!(child.join().unwrap(), 2);
        });
    });
}

#[test]
fn captured_output_makes_nobody_wait() {
    const MUCH: usize = 3 << 20;
    fn write(_: ()) -> bool {
        let mut out = io::stdout();
        out.write_all(&vec![b'x'; MUCH]).unwrap();
        // A program of its own writes there too.
        let status =
            std::process::Command::new("sh").args(["-c", "echo end; echo oops >&2"]).status();
        status.unwrap().success()
    }
    isolated(|| {
        every_method(|method| {
            let builder = Builder::new().start_method(method);
            let builder = builder.stdout(Stdio::captured()).stderr(Stdio::captured());
            let child = builder.spawn(write, ()).unwrap();
            let (out, err) = (child.captured_stdout().unwrap(), child.captured_stderr().unwrap());
            assert!(child.join().unwrap());
            let bytes = out.bytes().unwrap();
            assert!(bytes.len() == MUCH + 4 && bytes.ends_with(b"xend\n"));
            assert_eq!(err.text().unwrap(), "oops\n");
        });
    });
}

#[test]
fn what_a_process_said_before_it_was_killed() {
    isolated(|| {
        every_method(|method| {
            let (mut ready, theirs) = io::pipe().unwrap();
            let task = |mut ready: mp_os::transfer::Fd<io::PipeWriter>| {
                println!("last words");
                ready.write_all(b"!").unwrap();
                mp_testkit::wait_for_kill()
            };
            let builder = Builder::new().start_method(method).stdout(Stdio::captured());
            let child: mp_process::Child<()> = builder.spawn(task, theirs.into()).unwrap();
            ready.read_exact(&mut [0]).unwrap();
            let output = child.captured_stdout().unwrap();
            assert_eq!(output.text().unwrap(), "last words\n", "while it runs");
            child.kill().unwrap();
            child.join().unwrap_err();
            assert_eq!(output.text().unwrap(), "last words\n");
        });
    });
}

#[test]
fn input_is_not_captured() {
    isolated(|| {
        let error = Builder::new().stdin(Stdio::captured()).spawn(|()| (), ()).unwrap_err();
        assert!(error.to_string().contains("standard input"), "{error}");
    });
}

/// Streams are given, and the process that gives them has closed its own: so what is opened for them has their numbers.
#[test]
fn streams_from_a_process_that_has_none() {
    fn told(method: StartMethod) -> (String, String, usize) {
        for stream in 0..3 {
            #[expect(unsafe_code, reason = "what is tested")]
            // SAFETY: this process does not use it.
            unsafe {
                libc::close(stream);
            }
        }
        let builder = Builder::new().start_method(method).stderr(Stdio::captured());
        let builder = builder.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = builder.spawn(echo, ()).unwrap();
        child.take_stdin().unwrap().write_all(b"text").unwrap();
        let out = io::read_to_string(child.take_stdout().unwrap()).unwrap();
        let err = child.captured_stderr().unwrap();
        let len = child.join().unwrap();
        (out, err.text().unwrap(), len)
    }
    isolated(|| {
        every_method(|method| {
            let expected = ("out text".to_owned(), "err text".to_owned(), 4);
            assert_eq!(mp_process::spawn(told, method).unwrap().join().unwrap(), expected);
        });
    });
}
