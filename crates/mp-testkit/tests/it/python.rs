use mp_testkit::{isolated, python, python_with_ipc};

#[test]
fn python_runs_a_script_with_arguments() {
    isolated(|| {
        let Some(mut command) = python("import sys; print(sys.argv[1])") else { return };
        let output = command.arg("argument").output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "argument\n");
    });
}

#[test]
fn python_has_the_modules_for_ipc() {
    isolated(|| {
        let script =
            "import posix_ipc, sysv_ipc; print(posix_ipc.O_CREX != 0, sysv_ipc.IPC_CREX != 0)";
        let Some(mut command) = python_with_ipc(script) else { return };
        let output = command.output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "True True\n");
    });
}
