use std::os::fd::AsFd;

use nix::fcntl::{FcntlArg, fcntl};

/// `fcntl(F_GETFL)`—The flags of the open file, which its other holders see too.
#[track_caller]
pub fn flags(file: &impl AsFd) -> i32 {
    fcntl(file, FcntlArg::F_GETFL).expect("an open file has flags")
}
