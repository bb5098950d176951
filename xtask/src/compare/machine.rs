//! What the figures were measured on.

use std::{collections::BTreeSet, fs, process::Command, thread, time::Duration};

use mp_os::{Deadline, poll};

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

/// How many cores others have used in a second in which this process sleeps. Unlike the load average, it does not remember what
/// was built before. What the host of a virtual machine takes away counts as well.
pub(crate) fn busy_cores() -> Option<f64> {
    let read = || processor_times(&fs::read_to_string("/proc/stat").ok()?);
    let before = read()?;
    poll::wait_many(&[], Deadline::after(Duration::from_secs(1))).ok()?;
    let after = read()?;
    let cores = thread::available_parallelism().ok()?.get() as f64;
    let (busy, idle) = (after.0 - before.0, after.1 - before.1);
    Some((cores * busy / (busy + idle).max(1.0) * 100.0).round() / 100.0)
}

/// The time for which all cores together have been busy, and idle.
fn processor_times(stat: &str) -> Option<(f64, f64)> {
    let times: Vec<f64> = stat
        .lines()
        .next()?
        .split_whitespace()
        .skip(1)
        .map_while(|time| time.parse().ok())
        .collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; time of guests is part of user time.
    let [user, nice, system, idle, iowait, irq, softirq, steal, ..] = times[..] else {
        return None;
    };
    Some((user + nice + system + irq + softirq + steal, idle + iowait))
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
        let stat = "cpu  10 20 30 400 50 6 7 8 9 1\ncpu0 1 2 3 4\n";
        assert_eq!(processor_times(stat), Some((81.0, 450.0)));
        assert_eq!(processor_times("cpu  10 20"), None);
        assert_eq!(memory("MemTotal:       24637812 kB\n").unwrap(), "23.5 GiB");
    }

    #[test]
    fn this_machine_has_a_kernel_and_a_date() {
        let found = describe();
        let value = |name| &found.iter().find(|(known, _)| known == name).unwrap().1;
        assert!(value("kernel").starts_with("Linux "));
        assert!(value("date").starts_with("20"));
        assert!(busy_cores().unwrap() >= 0.0);
        assert_eq!(output("false", &[]), None);
    }
}
