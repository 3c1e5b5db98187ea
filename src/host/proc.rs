//! Files of `/proc` that tell of the whole machine (proc(5)).

use crate::metrics::figure;

/// The processors' time since the machine started, in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cpu {
    busy: u64,
    all: u64,
}

impl Cpu {
    pub(super) fn read() -> Self {
        Self::parse(&text("/proc/stat"))
    }

    /// The first line: user, nice, system, idle, iowait, irq, softirq, steal; what follows is in user already.
    fn parse(text: &str) -> Self {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or("");
        let ticks: Vec<u64> = line.split_ascii_whitespace().take(8).filter_map(|field| field.parse().ok()).collect();
        let idle: u64 = ticks.iter().skip(3).take(2).sum();
        let all: u64 = ticks.iter().sum();
        Self { busy: all.saturating_sub(idle), all }
    }

    pub(super) fn usage_since(self, before: Self) -> f64 {
        let all = self.all.saturating_sub(before.all);
        let busy = self.busy.saturating_sub(before.busy).min(all);
        if all == 0 { 0.0 } else { figure(busy) / figure(all) }
    }
}

/// The share of the memory that programs can't have.
pub(super) fn memory_usage() -> f64 {
    memory_usage_of(&text("/proc/meminfo"))
}

fn memory_usage_of(text: &str) -> f64 {
    let kilobytes = |name: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
        rest.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    let (Some(total), Some(available)) = (kilobytes("MemTotal:"), kilobytes("MemAvailable:")) else { return 0.0 };
    if total == 0 { 0.0 } else { figure(total.saturating_sub(available)) / figure(total) }
}

/// What the network interfaces but the loopback have received and sent since they are there.
pub(super) fn network_bytes() -> u64 {
    network_bytes_of(&text("/proc/self/net/dev"))
}

fn network_bytes_of(text: &str) -> u64 {
    let interfaces = text.lines().filter_map(|line| line.split_once(':'));
    let bytes = interfaces.filter(|(name, _)| name.trim() != "lo").map(|(_, counts)| {
        let counts: Vec<u64> = counts.split_ascii_whitespace().filter_map(|count| count.parse().ok()).collect();
        // Bytes are the first of eight received and the first of eight sent.
        [0, 8].iter().filter_map(|column| counts.get(*column)).sum::<u64>()
    });
    bytes.sum()
}

pub(super) fn text(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_what_is_neither_idle_nor_waits_for_a_disk() {
        let before = Cpu::parse("cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 1 2 3\n");
        assert_eq!(before, Cpu { busy: 200, all: 1000 });
        let after = Cpu::parse("cpu  130 10 110 800 150 0 0 0 50 0\n");
        assert!((after.usage_since(before) - 0.25).abs() < 1e-9);
        assert!(before.usage_since(before).abs() < 1e-9 && Cpu::parse("").usage_since(before).abs() < 1e-9);
    }

    #[test]
    fn memory_is_used_as_far_as_it_is_not_available() {
        assert!((memory_usage_of("MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB\n") - 0.75).abs() < 1e-9);
        assert!(memory_usage_of("").abs() < 1e-9);
    }

    #[test]
    fn the_loopback_is_no_network() {
        let text = "Inter-| Receive | Transmit\n face |bytes packets\n    lo: 5 0 0 0 0 0 0 0 5 0 0 0 0 0 0 0\n  \
            eth0: 1000 9 0 0 0 0 0 0 234 9 0 0 0 0 0 0\n";
        assert_eq!(network_bytes_of(text), 1234);
    }
}
