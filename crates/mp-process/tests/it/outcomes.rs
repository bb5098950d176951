use mp_process::{Builder, Child, ProcessError, StartMethod};

fn each_method(test: impl Fn(Builder)) {
    for method in [StartMethod::Forkserver, StartMethod::Spawn] {
        test(Builder::new().start_method(method));
    }
}

#[test]
fn smoke() {
    each_method(|builder| {
        let child = builder.spawn(|(a, b): (u32, u32)| a + b, (40, 2)).unwrap();
        assert_eq!(child.join().unwrap(), 42);
    });
}

#[test]
fn exit_codes_are_told() {
    each_method(|builder| {
        #[expect(clippy::exit, reason = "what is tested")]
        let child: Child<()> = builder.spawn(|code| std::process::exit(code), 3).unwrap();
        assert!(matches!(child.join(), Err(ProcessError::Exited(3))));
    });
}
