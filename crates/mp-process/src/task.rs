//! Functions as data: how a task is named across processes that run the same executable.

mod sys;

use std::{
    any::type_name,
    error, fmt,
    hash::{DefaultHasher, Hash, Hasher},
    mem,
};

use mp_os::transfer;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    Panic,
    encoding::{self, DecodeError, EncodeError},
    image::Image,
    panic::catch,
};

/// A function `fn(A) -> R` or `fn(&S, A) -> R` of this executable, as data that another process of the same executable
/// can turn back into the function.
///
/// Addresses differ between processes; offsets in one build of an executable do not. The key has those of the function
/// and of a constant that says of which types it is, and names the build. A key of another build, of other types or with
/// changed bytes is an error where it is [resolved](Self::resolve), never a jump. It is no defence against somebody who
/// wants to forge one: whoever can write to a worker's socket can make it do things.
///
/// # Examples
///
/// ```
/// use mp_process::{Call, CallOutcome, TaskKey};
///
/// let key = TaskKey::of(|text: String| text.len())?;
/// let mut task = key.resolve(&[])?;
///
/// let mut input = Vec::new();
/// mp_process::encode("seven..", &mut input)?;
/// let mut output = Vec::new();
/// assert!(matches!(task.call(&mut input.as_slice(), &mut output), CallOutcome::Returned));
/// assert_eq!(mp_process::decode::<usize>(&output)?, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct TaskKey {
    /// Names the build of the executable.
    build: u64,
    /// Where the [`Record`] of the types is.
    record: u64,
    /// Where the function is.
    function: u64,
    /// A hash of the types' names.
    types: u64,
    /// A hash of all the above.
    check: u64,
}

impl TaskKey {
    /// The key of `f`, which may be a function or a closure that captures nothing.
    ///
    /// # Errors
    ///
    /// [`TaskError::OutsideExecutable`] where `f` is a function of a shared library.
    pub fn of<A, R>(f: fn(A) -> R) -> Result<Self, TaskError>
    where
        A: DeserializeOwned + 'static,
        R: Serialize + 'static,
    {
        Self::new(sys::plain::<A, R>(), f as usize)
    }

    /// The key of `f`, which takes a value that is sent once beside the argument of each call.
    ///
    /// # Errors
    ///
    /// As for [`of`](Self::of).
    pub fn with_shared<S, A, R>(f: fn(&S, A) -> R) -> Result<Self, TaskError>
    where
        S: DeserializeOwned + Send + 'static,
        A: DeserializeOwned + 'static,
        R: Serialize + 'static,
    {
        Self::new(sys::shared::<S, A, R>(), f as usize)
    }

    fn new(record: &'static Record, function: usize) -> Result<Self, TaskError> {
        let image = Image::main();
        let address = std::ptr::from_ref(record) as usize;
        let mut key = Self {
            build: image.build(),
            record: image
                .constant_offset(address, size_of::<Record>())
                .ok_or(TaskError::OutsideExecutable)?,
            function: image.code_offset(function).ok_or(TaskError::OutsideExecutable)?,
            types: (record.types)(),
            check: 0,
        };
        key.check = key.expected_check();
        Ok(key)
    }

    /// The function of this key, ready to be called, in this process.
    ///
    /// `shared` are the bytes of the shared value (none for [`of`](Self::of)), which is decoded here, once. Handles in
    /// it need an enclosing [`transfer::provide`](mp_os::transfer::provide).
    ///
    /// # Errors
    ///
    /// [`TaskError::OtherBuild`] for a key of another executable, [`TaskError::Forged`] for one with changed bytes,
    /// [`TaskError::Shared`] where `shared` cannot be decoded.
    pub fn resolve(&self, shared: &[u8]) -> Result<Box<dyn Call>, TaskError> {
        let image = Image::main();
        if self.build != image.build() {
            return Err(TaskError::OtherBuild);
        }
        if self.check != self.expected_check() {
            return Err(TaskError::Forged);
        }
        let record = image
            .constant_address(self.record, size_of::<Record>())
            .and_then(sys::record_at)
            .filter(|record| (record.types)() == self.types)
            .ok_or(TaskError::Forged)?;
        let function = image.code_address(self.function).ok_or(TaskError::Forged)?;
        sys::instantiate(record, function, shared)
    }

    fn expected_check(&self) -> u64 {
        hash(&("mp-process task", self.build, self.record, self.function, self.types))
    }
}

/// A function that a [`TaskKey`] was resolved to.
pub trait Call: Send {
    /// Decodes one argument from the front of `input`, which is advanced behind it, calls the function and appends the
    /// bytes of its result to `output`; unless it [returned](CallOutcome::Returned), `output` is as before.
    ///
    /// Handles inside need an enclosing [`transfer`](mp_os::transfer) scope.
    fn call(&mut self, input: &mut &[u8], output: &mut Vec<u8>) -> CallOutcome;

    /// Calls the function on each argument that `tasks` has, in one loop that knows the types.
    fn call_each(&mut self, tasks: &mut dyn Tasks);
}

/// Arguments of a function one after the other, and what becomes of each.
///
/// # Examples
///
/// ```
/// use mp_process::{CallOutcome, TaskBytes, TaskKey, Tasks};
///
/// struct Reciprocals { divisors: Vec<[u8; 1]>, results: Vec<u8>, tail: Vec<u8>, failures: usize }
///
/// impl Tasks for Reciprocals {
///     fn next(&mut self) -> Option<TaskBytes<'_>> {
///         self.divisors.truncate(self.divisors.len() - 1);
///         let argument = self.divisors.last()?;
///         Some(TaskBytes { argument, result: &mut self.results, tail: &mut self.tail })
///     }
///
///     fn fail(&mut self, _: CallOutcome) {
///         self.failures += 1;
///     }
/// }
///
/// let divisors = vec![[1], [0], [5], [9]];
/// let mut tasks = Reciprocals { divisors, results: vec![], tail: vec![], failures: 0 };
/// TaskKey::of(|divisor: u8| 100 / divisor)?.resolve(&[])?.call_each(&mut tasks);
/// assert_eq!((tasks.results, tasks.failures), (vec![20, 100], 1));
/// # Ok::<(), mp_process::TaskError>(())
/// ```
pub trait Tasks {
    /// The bytes of the next argument, and where those of its result go; `None` ends the loop. The task before has
    /// returned, and its result is complete, unless it has [failed](Self::fail).
    fn next(&mut self) -> Option<TaskBytes<'_>>;

    /// The task begun last has no result, although a part of one may have been appended.
    fn fail(&mut self, outcome: CallOutcome);
}

/// The bytes of an argument, and where those of its result go.
///
/// Large ones may be in two pieces, of which the second is [passed on](crate::encode_parts) and not copied.
#[derive(Debug)]
pub struct TaskBytes<'a> {
    /// Those of the argument, or the first of them.
    pub argument: &'a [u8],
    /// Where those of the result, or the first of them, are appended.
    pub result: &'a mut Vec<u8>,
    /// The last bytes of the argument, if they are apart, and then those of the result.
    pub tail: &'a mut Vec<u8>,
}

/// How a [`Call`] ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// The bytes of the result are there.
    Returned,
    /// The function panicked, or the argument did while it was decoded, or the result while it was encoded.
    Panicked(Panic),
    /// The bytes are not those of an argument. Where it ends is not known: the rest of the input is lost as well.
    ArgumentUndecodable(String),
    /// The function returned, and its result refused to be serialized.
    ResultUnencodable(String),
}

/// Why a function has no key, or a key no function.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskError {
    /// The function is not one of the main executable, but of a shared library. Wrap it in a closure.
    OutsideExecutable,
    /// The key was made by another build of the executable.
    OtherBuild,
    /// The key was not made by [`TaskKey::of`] or [`TaskKey::with_shared`].
    Forged,
    /// The shared value could not be decoded.
    Shared(DecodeError),
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutsideExecutable => f.write_str(
                "the task is a function of a shared library, not of the executable; wrap it in a closure",
            ),
            Self::OtherBuild => f.write_str("the task is of another build of the executable"),
            Self::Forged => f.write_str("the task's key names no function of this executable"),
            Self::Shared(error) => write!(f, "the shared value could not be decoded: {error}"),
        }
    }
}

impl error::Error for TaskError {}

/// What there is once per combination of types: a constant of the executable.
#[repr(C)]
struct Record {
    /// [`MAGIC`], so that an offset to anything else is noticed before it is used.
    magic: [u64; 2],
    /// Hashes the names of the types.
    types: fn() -> u64,
    /// Makes a [`Call`] of the function at an address, which must be one of these types.
    instantiate: Instantiate,
}

/// Unsafe: there must be a function of the record's types at the address.
type Instantiate = unsafe fn(usize, &[u8]) -> Result<Box<dyn Call>, TaskError>;

const MAGIC: [u64; 2] = [0x7c9e_5b1d_f2a4_6380, 0x1e8d_03b7_a95c_4f62];

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn plain_types<A, R>() -> u64 {
    hash(&("plain", type_name::<A>(), type_name::<R>()))
}

fn shared_types<S, A, R>() -> u64 {
    hash(&("shared", type_name::<S>(), type_name::<A>(), type_name::<R>()))
}

struct Plain<A, R>(fn(A) -> R);

impl<A: DeserializeOwned, R: Serialize> Call for Plain<A, R> {
    fn call(&mut self, input: &mut &[u8], output: &mut Vec<u8>) -> CallOutcome {
        call(self.0, input, output)
    }

    fn call_each(&mut self, tasks: &mut dyn Tasks) {
        call_each(self.0, tasks);
    }
}

struct Shared<S, A, R> {
    value: S,
    function: fn(&S, A) -> R,
}

impl<S: Send, A: DeserializeOwned, R: Serialize> Call for Shared<S, A, R> {
    fn call(&mut self, input: &mut &[u8], output: &mut Vec<u8>) -> CallOutcome {
        call(|argument| (self.function)(&self.value, argument), input, output)
    }

    fn call_each(&mut self, tasks: &mut dyn Tasks) {
        call_each(|argument| (self.function)(&self.value, argument), tasks);
    }
}

fn call<A: DeserializeOwned, R: Serialize>(
    function: impl FnOnce(A) -> R,
    input: &mut &[u8],
    output: &mut Vec<u8>,
) -> CallOutcome {
    let len = output.len();
    let outcome = catch(|| attempt(function, input, output));
    let failure = match outcome {
        Ok(Ok(())) => return CallOutcome::Returned,
        Ok(Err(failure)) => failure,
        Err(panic) => CallOutcome::Panicked(panic),
    };
    output.truncate(len);
    failure
}

/// A panic ends the inner loop, so that only a task that panics pays for being caught.
fn call_each<A: DeserializeOwned, R: Serialize>(function: impl Fn(A) -> R, tasks: &mut dyn Tasks) {
    while let Err(panic) = catch(|| attempt_each(&function, tasks)) {
        tasks.fail(CallOutcome::Panicked(panic));
    }
}

fn attempt_each<A: DeserializeOwned, R: Serialize>(
    function: impl Fn(A) -> R,
    tasks: &mut dyn Tasks,
) {
    while let Some(bytes) = tasks.next() {
        if let Err(failure) = attempt_parts(&function, bytes) {
            tasks.fail(failure);
        }
    }
}

/// Decodes, calls and encodes once.
#[inline]
fn attempt_parts<A: DeserializeOwned, R: Serialize>(
    function: impl FnOnce(A) -> R,
    bytes: TaskBytes<'_>,
) -> Result<(), CallOutcome> {
    let TaskBytes { mut argument, result, tail } = bytes;
    let argument = if tail.is_empty() {
        encoding::take(&mut argument)
    } else {
        encoding::decode_parts(argument, mem::take(tail))
    };
    let returned = run(function, argument)?;
    let large = encoding::encode_parts(returned, result).map_err(unencodable)?;
    if !large.is_empty() {
        *tail = large;
    }
    Ok(())
}

/// Decodes, calls and encodes once, in one piece each.
#[inline]
fn attempt<A: DeserializeOwned, R: Serialize>(
    function: impl FnOnce(A) -> R,
    input: &mut &[u8],
    output: &mut Vec<u8>,
) -> Result<(), CallOutcome> {
    let result = run(function, encoding::take(input))?;
    encoding::encode(&result, output).map_err(unencodable)
}

#[inline]
fn run<A, R>(
    function: impl FnOnce(A) -> R,
    argument: Result<A, DecodeError>,
) -> Result<R, CallOutcome> {
    let argument = argument.map_err(|error| CallOutcome::ArgumentUndecodable(error.to_string()))?;
    // Its handles have come, and those of the result go later: what it serializes itself is no part of either.
    Ok(transfer::outside(|| function(argument)))
}

#[cold]
fn unencodable(error: EncodeError) -> CallOutcome {
    CallOutcome::ResultUnencodable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn double(n: u32) -> u32 {
        n * 2
    }

    fn run(key: TaskKey, shared: &[u8], mut input: &[u8]) -> (CallOutcome, Vec<u8>) {
        let mut output = vec![0xee];
        let outcome = key.resolve(shared).unwrap().call(&mut input, &mut output);
        (outcome, output)
    }

    #[test]
    fn a_key_leads_back_to_its_function() {
        let key = TaskKey::of(double).unwrap();
        assert_eq!(run(key, &[], &[21]), (CallOutcome::Returned, vec![0xee, 42]));
        let shared = TaskKey::with_shared(|base: &u32, n: u32| base + n).unwrap();
        assert_eq!(run(shared, &[40], &[2]), (CallOutcome::Returned, vec![0xee, 42]));
        assert!(matches!(shared.resolve(&[]), Err(TaskError::Shared(_))));
    }

    #[test]
    fn only_the_bytes_of_one_argument_are_taken() {
        let mut task = TaskKey::of(double).unwrap().resolve(&[]).unwrap();
        let (mut input, mut output) = (&[1, 2, 3][..], Vec::new());
        while !input.is_empty() {
            assert_eq!(task.call(&mut input, &mut output), CallOutcome::Returned);
        }
        assert_eq!(output, [2, 4, 6]);
    }

    #[test]
    fn failures_leave_the_output_as_it_was() {
        let (outcome, output) = run(TaskKey::of(double).unwrap(), &[], &[]);
        assert!(matches!(outcome, CallOutcome::ArgumentUndecodable(_)), "{outcome:?}");
        assert_eq!(output, [0xee]);

        let panicking = TaskKey::of(|n: u32| assert_eq!(n, 0, "not zero")).unwrap();
        let (outcome, output) = run(panicking, &[], &[1]);
        let CallOutcome::Panicked(panic) = outcome else { panic!("{outcome:?}") };
        assert!(panic.message.contains("not zero"), "{panic}");
        assert_eq!(output, [0xee]);
    }

    #[test]
    fn a_function_of_a_library_has_no_key() {
        let foreign = sys::absolute_value_of_the_c_library();
        assert_eq!(TaskKey::of(foreign), Err(TaskError::OutsideExecutable));
    }

    #[test]
    fn another_build_and_any_changed_field_are_errors() {
        let key = TaskKey::of(double).unwrap();
        let error = |key: TaskKey| key.resolve(&[]).map(drop).unwrap_err();
        assert_eq!(error(TaskKey { build: key.build ^ 1, ..key }), TaskError::OtherBuild);
        for forged in [
            TaskKey { record: key.record + 8, ..key },
            TaskKey { function: key.function + 1, ..key },
            TaskKey { types: key.types ^ 1, ..key },
            TaskKey { check: key.check ^ 1, ..key },
        ] {
            assert_eq!(error(forged), TaskError::Forged);
        }
    }

    #[test]
    fn even_a_right_check_does_not_lead_outside() {
        let key = TaskKey::of(double).unwrap();
        let other = TaskKey::of(|text: String| text.len()).unwrap();
        for mut forged in [
            TaskKey { record: key.record + 8, ..key },
            TaskKey { record: key.record + 1, ..key },
            TaskKey { record: key.function, ..key },
            TaskKey { record: u64::MAX, ..key },
            TaskKey { record: other.record, ..key },
            TaskKey { function: key.record, ..key },
            TaskKey { function: u64::MAX - 4, ..key },
        ] {
            forged.check = forged.expected_check();
            assert_eq!(forged.resolve(&[]).map(drop).unwrap_err(), TaskError::Forged, "{forged:?}");
        }
    }
}
