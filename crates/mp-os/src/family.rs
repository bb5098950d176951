/// Writes the four forms of a blocking method from the one that takes a [`Deadline`](crate::Deadline).
///
/// `fn send, try_send, send_timeout, send_deadline(self: &Self, bytes: &[u8]) -> usize = send_until;` makes the four
/// methods named, each a call of `send_until(&self, bytes: &[u8], deadline: Deadline) -> Result<usize, TimeoutError>`.
/// Docs and attributes before `fn` go to the first; the other three refer to it and to its `# Errors` section. A lifetime
/// may follow the names: `fn recv, try_recv, recv_timeout, recv_deadline<'a>(...) -> Message<'a>`.
///
/// Operations with outcomes of their own begin with `fails with (WaitError, TryError, TimeoutError):`, the errors of the
/// waiting form, of `try_` and of the two with a deadline; the first two are made from the third (`From`), or the same.
///
/// # Examples
///
/// ```
/// use mp_os::{Deadline, Error, TimeoutError, TryError, poll};
/// use std::os::fd::{AsFd, OwnedFd};
///
/// struct Signal(OwnedFd);
///
/// impl Signal {
///     mp_os::family! {
///         /// Waits until something can be read.
///         ///
///         /// # Errors
///         ///
///         /// What `ppoll(2)` fails with.
///         pub fn wait, try_wait, wait_timeout, wait_deadline(self: &Self) -> () = wait_until;
///     }
///
///     fn wait_until(&self, deadline: Deadline) -> Result<(), TimeoutError> {
///         match poll::wait(self.0.as_fd(), poll::Interest::Readable, deadline) {
///             Ok(true) => Ok(()),
///             Ok(false) => Err(TimeoutError::TimedOut),
///             Err(error) => Err(Error::new("wait for", "signal", error).into()),
///         }
///     }
/// }
///
/// let (reader, writer) = std::io::pipe()?;
/// let signal = Signal(reader.into());
/// assert!(matches!(signal.try_wait(), Err(TryError::WouldBlock)));
/// drop(writer);
/// signal.wait()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[macro_export]
macro_rules! family {
    (fails with ($blocking:ty, $trying:ty, $timed:ty): $(
        $(#[$attribute:meta])*
        $visibility:vis fn $operation:ident, $try_form:ident, $timeout_form:ident, $deadline_form:ident
            $(<$lifetime:lifetime>)?
            ($self:ident: $receiver:ty $(, $argument:ident: $type:ty)*) -> $output:ty = $until:ident;
    )+) => {$(
        $(#[$attribute])*
        #[allow(clippy::needless_question_mark, reason = "the forms may have one error")]
        #[inline]
        $visibility fn $operation $(<$lifetime>)? (
            $self: $receiver $(, $argument: $type)*
        ) -> $crate::Result<$output, $blocking> {
            Ok($self.$until($($argument,)* $crate::Deadline::never())?)
        }

        #[doc = concat!("[`", stringify!($operation), "`](Self::", stringify!($operation), ") without waiting.")]
        ///
        /// # Errors
        ///
        /// One that says so (`WouldBlock`, or `TimedOut`) where it would have to wait; otherwise as there.
        #[allow(clippy::needless_question_mark, reason = "the forms may have one error")]
        #[inline]
        $visibility fn $try_form $(<$lifetime>)? (
            $self: $receiver $(, $argument: $type)*
        ) -> $crate::Result<$output, $trying> {
            let at_once = $crate::Deadline::after(::core::time::Duration::ZERO);
            Ok($self.$until($($argument,)* at_once)?)
        }

        #[doc = concat!("[`", stringify!($operation), "`](Self::", stringify!($operation), ") for at most `timeout`.")]
        ///
        /// # Errors
        ///
        /// `TimedOut` when `timeout` has passed first; otherwise as there.
        #[inline]
        $visibility fn $timeout_form $(<$lifetime>)? (
            $self: $receiver $(, $argument: $type)*, timeout: ::core::time::Duration
        ) -> $crate::Result<$output, $timed> {
            $self.$until($($argument,)* $crate::Deadline::after(timeout))
        }

        #[doc = concat!("[`", stringify!($operation), "`](Self::", stringify!($operation), ") until `deadline` at the latest.")]
        ///
        /// # Errors
        ///
        /// `TimedOut` when `deadline` has passed first; otherwise as there.
        #[inline]
        $visibility fn $deadline_form $(<$lifetime>)? (
            $self: $receiver $(, $argument: $type)*, deadline: ::std::time::Instant
        ) -> $crate::Result<$output, $timed> {
            $self.$until($($argument,)* $crate::Deadline::at(deadline))
        }
    )+};
    (fails $($rest:tt)+) => {
        ::core::compile_error!("expected `fails with (WaitError, TryError, TimeoutError):` and then methods");
    };
    ($($methods:tt)+) => {
        $crate::family! { fails with ($crate::Error, $crate::TryError, $crate::TimeoutError): $($methods)+ }
    };
}
