//! What the figures were measured on.

use std::{collections::BTreeSet, fs, process::Command, thread};

/// Name and value of all that can be found out.
pub(crate) fn describe() -> Vec<(String, String)> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let governor = read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    let rows = [
        ("processor", processor(&cpu)),
        ("cores", thread::available_parallelism().ok().map(|cores| cores.to_string())),
        ("kernel", kernel(&read("/proc/sys/kernel/osrelease"))),
        ("virtual machine", virtualization(&cpu)),
        ("frequency governor", word(&governor)),
        ("memory", memory(&read("/proc/meminfo"))),
        ("compiler", output("rustc", &["--version"])),
        ("date", output("date", &["-u", "+%Y-%m-%d"])),
    ];
    let known = |(name, value): (&str, Option<String>)| {
        (name.to_owned(), value.unwrap_or_else(|| "not known".to_owned()))
    };
    rows.into_iter().map(known).collect()
}

/// Processes that wanted a core in the last minute.
pub(crate) fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

/// What a program prints, if it is there and succeeds.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| word(&text))?
}

fn word(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

/// On x86_64 there is a name, on aarch64 there are numbers.
fn processor(cpu: &str) -> Option<String> {
    if let Some(name) = field(cpu, "model name") {
        let numbers = ["cpu family", "model"].map(|name| field(cpu, name).unwrap_or("?"));
        return Some(format!("{name} (family {}, model {})", numbers[0], numbers[1]));
    }
    let [implementer, part] = ["CPU implementer", "CPU part"].map(|name| field(cpu, name));
    Some(format!("implementer {}, part {}", implementer?, part?))
}

/// The version, without what its builder has added.
fn kernel(release: &str) -> Option<String> {
    let version = release.trim().split(['-', '+']).next()?;
    word(version).map(|version| format!("Linux {version}"))
}

fn virtualization(cpu: &str) -> Option<String> {
    if let Ok(output) = Command::new("systemd-detect-virt").arg("--vm").output() {
        // It fails where there is none, and says so.
        return word(&String::from_utf8_lossy(&output.stdout));
    }
    let flags: BTreeSet<_> = field(cpu, "flags")?.split(' ').collect();
    Some(if flags.contains("hypervisor") { "yes" } else { "no" }.to_owned())
}

fn memory(info: &str) -> Option<String> {
    let kib: f64 = field(info, "MemTotal")?.split(' ').next()?.parse().ok()?;
    Some(format!("{:.1} GiB", kib / 1024.0 / 1024.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kernels_say_is_understood() {
        let cpu = "processor\t: 0\ncpu family\t: 26\nmodel\t\t: 2\nmodel name\t: AMD EPYC\nflags\t\t: fpu hypervisor\n";
        assert_eq!(processor(cpu).unwrap(), "AMD EPYC (family 26, model 2)");
        let cpu = "CPU implementer\t: 0x41\nCPU part\t: 0xd0c\n";
        assert_eq!(processor(cpu).unwrap(), "implementer 0x41, part 0xd0c");
        assert_eq!(processor(""), None);
        assert_eq!(kernel("6.18.4-generic\n").unwrap(), "Linux 6.18.4");
        assert_eq!(memory("MemTotal:       24637812 kB\n").unwrap(), "23.5 GiB");
    }

    #[test]
    fn this_machine_has_a_kernel_and_a_date() {
        let found = describe();
        let value = |name| &found.iter().find(|(known, _)| known == name).unwrap().1;
        assert!(value("kernel").starts_with("Linux "));
        assert!(value("date").starts_with("20"));
        assert!(load().unwrap() >= 0.0);
        assert_eq!(output("false", &[]), None);
    }
}
