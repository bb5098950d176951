use std::time::{Duration, SystemTime};

use mp_os::{
    Error,
    sysv::{Permissions, WaitError},
};
use nix::libc;

use super::{Limits, MessageQueue, sys};

/// What a queue holds and who used it last: `struct msqid_ds`.
#[doc(alias = "msqid_ds")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stat {
    /// Who owns it and who may use it.
    pub permissions: Permissions,
    /// How many messages it holds.
    pub len: usize,
    /// How many bytes they have together.
    pub bytes: usize,
    /// How many bytes it holds before a sender waits, and how many messages (of any length, empty ones too).
    pub capacity: usize,
    /// The process that sent last.
    pub last_sender: Option<u32>,
    /// The process that received last.
    pub last_receiver: Option<u32>,
    /// When it did, to a second.
    pub sent_at: Option<SystemTime>,
    /// When it did, to a second.
    pub received_at: Option<SystemTime>,
    /// When the queue was created or changed, to a second.
    pub changed_at: Option<SystemTime>,
}

impl From<libc::msqid_ds> for Stat {
    fn from(raw: libc::msqid_ds) -> Self {
        let time = |seconds: libc::time_t| {
            let since = Duration::from_secs(u64::try_from(seconds).ok().filter(|&s| s > 0)?);
            SystemTime::UNIX_EPOCH.checked_add(since)
        };
        let process = |pid: libc::pid_t| u32::try_from(pid).ok().filter(|&pid| pid > 0);
        Self {
            permissions: Permissions::from(&raw.msg_perm),
            len: raw.msg_qnum as usize,
            bytes: raw.__msg_cbytes as usize,
            capacity: raw.msg_qbytes as usize,
            last_sender: process(raw.msg_lspid),
            last_receiver: process(raw.msg_lrpid),
            sent_at: time(raw.msg_stime),
            received_at: time(raw.msg_rtime),
            changed_at: time(raw.msg_ctime),
        }
    }
}

impl MessageQueue {
    /// `msgctl(IPC_STAT)`—What the queue holds and who used it last.
    ///
    /// # Errors
    ///
    /// [`Removed`](WaitError::Removed); [`PermissionDenied`](std::io::ErrorKind::PermissionDenied) without permission to
    /// receive.
    #[doc(alias = "msgctl")]
    pub fn stat(&self) -> Result<Stat, WaitError> {
        sys::stat(self.id()).map(Stat::from).map_err(|error| self.failed("read state of", error))
    }

    /// `msgctl(IPC_SET)`—How many bytes the queue holds before a sender waits.
    ///
    /// # Errors
    ///
    /// [`Removed`](WaitError::Removed); [`PermissionDenied`](std::io::ErrorKind::PermissionDenied) for others than the
    /// owner, the creator and root, and beyond `kernel.msgmnb` without `CAP_SYS_RESOURCE`, which the error's hint says.
    pub fn set_capacity(&self, bytes: usize) -> Result<(), WaitError> {
        match self.change(|stat| stat.msg_qbytes = bytes as libc::msglen_t) {
            Err(WaitError::Os(error)) if error.raw_os_error() == Some(libc::EPERM) => {
                Err(WaitError::Os(error.with_hint_from(Limits::read(), |limits| {
                    format!(
                        "without CAP_SYS_RESOURCE a queue holds at most `kernel.msgmnb` = {} bytes",
                        limits.msgmnb
                    )
                })))
            }
            result => result,
        }
    }

    /// `msgctl(IPC_SET)`—Sets the permission bits.
    ///
    /// # Errors
    ///
    /// [`Removed`](WaitError::Removed), [`InvalidInput`](std::io::ErrorKind::InvalidInput) for other bits,
    /// [`PermissionDenied`](std::io::ErrorKind::PermissionDenied).
    pub fn set_mode(&self, mode: u32) -> Result<(), WaitError> {
        if mode & !0o777 != 0 {
            let reason = "the mode has more than the permission bits";
            return Err(Error::invalid_input("change", self.object(), reason).into());
        }
        // The type of the field is not the same on all architectures, and nine bits fit all.
        self.change(|stat| stat.msg_perm.mode = mode as _)
    }

    /// `msgctl(IPC_SET)`—Sets the owner's user and group.
    ///
    /// # Errors
    ///
    /// [`Removed`](WaitError::Removed), [`PermissionDenied`](std::io::ErrorKind::PermissionDenied).
    pub fn set_owner(&self, uid: u32, gid: u32) -> Result<(), WaitError> {
        self.change(|stat| (stat.msg_perm.uid, stat.msg_perm.gid) = (uid, gid))
    }

    fn change(&self, change: impl FnOnce(&mut libc::msqid_ds)) -> Result<(), WaitError> {
        let changed = sys::stat(self.id()).and_then(|mut stat| {
            change(&mut stat);
            sys::set(self.id(), stat)
        });
        changed.map_err(|error| self.failed("change", error))
    }
}
