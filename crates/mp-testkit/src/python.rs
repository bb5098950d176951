//! Python as the program that nobody here wrote.

use std::{
    env,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Command,
};

use crate::skip;

/// Modules that are not in Python's standard library.
const PACKAGES: [&str; 2] = ["posix_ipc", "sysv_ipc"];

/// `python3 -c SCRIPT`, to which arguments can be added; `None`, having [skipped](skip), where there is no Python.
///
/// For scripts that need the standard library only, such as `multiprocessing.shared_memory`.
pub fn python(script: &str) -> Option<Command> {
    match checked(Command::new("python3").arg("--version")) {
        Ok(()) => Some(command(Path::new("python3"), script)),
        Err(reason) => {
            skip(&reason);
            None
        }
    }
}

/// [`python`] with the modules `posix_ipc` and `sysv_ipc`.
///
/// They are in a virtual environment under the target directory, which the first test that needs it makes; that needs a
/// package index and a C compiler. Where it cannot be made, the reason is kept there until the directory is cleaned.
pub fn python_with_ipc(script: &str) -> Option<Command> {
    let interpreter = environment().and_then(|environment| {
        let interpreter = environment.join("bin/python");
        // Another user may have made it, of a Python that is not for everybody.
        checked(Command::new(&interpreter).arg("--version")).map(|()| interpreter)
    });
    match interpreter {
        Ok(interpreter) => Some(command(&interpreter, script)),
        Err(reason) => {
            skip(&reason);
            None
        }
    }
}

fn command(interpreter: &Path, script: &str) -> Command {
    let mut command = Command::new(interpreter);
    command.args(["-c", script]);
    command
}

/// The directory of the virtual environment, made by one process while the others wait.
fn environment() -> Result<PathBuf, String> {
    let target = target_directory().ok_or("the test is not in a target directory")?;
    let (directory, done) = (target.join("python-ipc"), target.join("python-ipc.done"));
    // Before the lock, which an ordinary user may not take where root has made the directory.
    let reason = match fs::read_to_string(&done) {
        Ok(reason) => reason,
        Err(_) => make_once(&directory, &done).map_err(|error| {
            format!("the virtual environment cannot be made under {}: {error}", target.display())
        })?,
    };
    if reason.is_empty() { Ok(directory) } else { Err(reason) }
}

/// Makes the environment unless another process has meanwhile: why it cannot be made, empty if it can.
fn make_once(directory: &Path, done: &Path) -> io::Result<String> {
    let lock = File::create(done.with_extension("lock"))?;
    lock.lock()?;
    if let Ok(reason) = fs::read_to_string(done) {
        return Ok(reason);
    }
    let reason = make(directory).err().unwrap_or_default();
    // Whoever finds the file finds it complete.
    let unfinished = done.with_extension("new");
    fs::write(&unfinished, &reason)?;
    fs::rename(unfinished, done)?;
    Ok(reason)
}

/// Where cargo builds: the nearest directory above this executable that has cargo's tag.
fn target_directory() -> Option<PathBuf> {
    let executable = env::current_exe().ok()?;
    executable.ancestors().find(|path| path.join("CACHEDIR.TAG").exists()).map(Path::to_owned)
}

fn make(directory: &Path) -> Result<(), String> {
    // What an interrupted attempt has left.
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.to_string()),
        _ => {}
    }
    checked(Command::new("python3").args(["-m", "venv"]).arg(directory))?;
    checked(Command::new(directory.join("bin/pip")).args(["install", "--quiet"]).args(PACKAGES))
}

/// Runs `command` to its end; an error says what it printed.
fn checked(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program} cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    // One line, because that is what a skipped test prints.
    let text = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    Err(format!("{program} failed with {}: {text}", output.status))
}
