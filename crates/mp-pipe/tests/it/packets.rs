//! Packet pipes.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use mp_pipe::{PIPE_BUF, TimeoutError, TryError};
use mp_testkit::{fork_child, isolated};

#[test]
fn smoke() {
    isolated(|| {
        let (reader, writer) = mp_pipe::packets().unwrap();
        writer.send(b"one").unwrap();
        writer.try_send(b"three").unwrap();
        let mut buffer = [0; PIPE_BUF];
        assert_eq!(reader.recv(&mut buffer).unwrap(), Some(3));
        assert_eq!(reader.try_recv(&mut buffer).unwrap(), Some(5));
        assert_eq!(&buffer[..5], b"three");
        assert!(matches!(reader.try_recv(&mut buffer), Err(TryError::WouldBlock)));
        drop(writer);
        assert_eq!(reader.recv(&mut buffer).unwrap(), None);
    });
}

#[test]
fn the_longest_packet() {
    isolated(|| {
        let (reader, writer) = mp_pipe::packets().unwrap();
        let packet: Vec<u8> = (0..PIPE_BUF).map(|n| n as u8).collect();
        writer.send(&packet).unwrap();
        writer.send(b"x").unwrap();
        let mut buffer = [0; 2 * PIPE_BUF];
        assert_eq!(reader.recv(&mut buffer).unwrap(), Some(PIPE_BUF));
        assert_eq!(buffer[..PIPE_BUF], packet);
    });
}

#[test]
fn bad_input_is_refused() {
    isolated(|| {
        let (reader, writer) = mp_pipe::packets().unwrap();
        for bad in [0, PIPE_BUF + 1] {
            assert_eq!(writer.send(&vec![0; bad]).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        let error = reader.recv(&mut [0; PIPE_BUF - 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn timeouts() {
    isolated(|| {
        let (reader, writer) = mp_pipe::packets().unwrap();
        let timeout = Duration::from_millis(5);
        let start = Instant::now();
        let outcome = reader.recv_timeout(&mut [0; PIPE_BUF], timeout);
        assert!(matches!(outcome, Err(TimeoutError::TimedOut)));
        assert!(start.elapsed() >= timeout);
        let mut sent = 0;
        while writer.try_send(b"x").is_ok() {
            sent += 1;
        }
        assert_eq!(sent, writer.capacity().unwrap() / PIPE_BUF, "a page for each packet");
        assert!(matches!(writer.send_timeout(b"x", timeout), Err(TimeoutError::TimedOut)));
        reader.recv(&mut [0; PIPE_BUF]).unwrap();
        writer.send_timeout(b"x", Duration::from_secs(10)).unwrap();
    });
}

#[test]
fn reader_gone() {
    isolated(|| {
        let (reader, writer) = mp_pipe::packets().unwrap();
        drop(reader);
        assert_eq!(writer.send(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn sender_killed() {
    isolated(|| {
        for count in 0..40 {
            let (reader, writer) = mp_pipe::packets().unwrap();
            let child = fork_child(|| {
                for number in 0_u64.. {
                    let len = 8 + number as usize * 97 % 4000;
                    let mut packet = vec![number as u8; len];
                    packet[..8].copy_from_slice(&number.to_le_bytes());
                    writer.send(&packet).unwrap();
                }
                0
            });
            drop(writer);
            let mut child = Some(child);
            let mut buffer = [0; PIPE_BUF];
            for number in 0_u64.. {
                if number == count {
                    child.take().map(mp_testkit::Child::kill);
                }
                let Some(len) = reader.recv(&mut buffer).unwrap() else { break };
                assert_eq!(buffer[..8], number.to_le_bytes());
                assert_eq!(len, 8 + number as usize * 97 % 4000);
                assert!(buffer[8..len].iter().all(|byte| *byte == number as u8));
            }
        }
    });
}
