//! What is said of a repetition and of all of them: lines for people, and lines of JSON.

use crate::Result;
use crate::measure::Usage;
use crate::modes;
use crate::options::Plan;
use crate::stats::{Summary, Times};
use serde_json::{Map, Value, json};
use std::fs::OpenOptions;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// What must be 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// ERROR frames, and answers that do not fit.
    pub(crate) errors: u64,
    /// Messages that came out of turn.
    pub(crate) gaps: u64,
    /// What was not answered, or did not come, in time.
    pub(crate) lost: u64,
}

impl Faults {
    pub(crate) fn add(&mut self, other: Faults) {
        self.errors += other.errors;
        self.gaps += other.gaps;
        self.lost += other.lost;
    }

    fn any(self) -> bool {
        self != Faults::default()
    }
}

/// What a repetition found.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    values: Vec<(&'static str, f64)>,
    pub(crate) faults: Faults,
}

impl Figures {
    pub(crate) fn new(faults: Faults) -> Figures {
        Figures { values: Vec::new(), faults }
    }

    pub(crate) fn put(&mut self, name: &'static str, value: f64) {
        self.values.push((name, value));
    }

    /// The median, what one in a hundred exceeds, and the most, in microseconds.
    pub(crate) fn times(&mut self, times: &Times) {
        self.times_as(["p50_us", "p99_us", "max_us"], times);
    }

    pub(crate) fn times_as(&mut self, [median, most, max]: [&'static str; 3], times: &Times) {
        if !times.is_empty() {
            self.put(median, times.micros(0.5));
            self.put(most, times.micros(0.99));
            self.put(max, times.micros(1.0));
        }
    }

    /// What it took to do `count` of what was to be done.
    pub(crate) fn usage(&mut self, usage: &Usage, count: u64) {
        if let Some(cpu) = usage.server_cpu {
            self.put("server_cpu_s_per_million", cpu * 1e6 / count.max(1) as f64);
            self.put("server_cores", cpu / usage.seconds);
        }
        self.put("client_cores", usage.client_cpu / usage.seconds);
        if let Some(resident) = usage.resident {
            self.put("server_mib", resident);
        }
        if let Some(shares) = usage.shares {
            self.put("client_percent", shares.client);
            self.put("busy_percent", shares.busy);
            self.put("steal_percent", shares.steal);
        }
    }
}

/// All repetitions of a plan.
pub(crate) struct Report<'a> {
    plan: &'a Plan,
    done: Vec<Figures>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(plan: &'a Plan) -> Report<'a> {
        let (what, what_not) = modes::says(plan);
        println!("Measured: {what}.\nNot shown: {what_not}.");
        Report { plan, done: Vec::new() }
    }

    pub(crate) fn add(&mut self, repetition: u32, figures: Figures) -> Result<()> {
        let values = figures.values.iter().map(|(name, value)| format!("{name} {}", short(*value)));
        let Faults { errors, gaps, lost } = figures.faults;
        let line: Vec<String> = values.collect();
        println!("{repetition}: {}, errors {errors}, gaps {gaps}, lost {lost}", line.join(", "));
        if let Some(path) = &self.plan.json {
            let mut file = OpenOptions::new().create(true).append(true).open(path)?;
            writeln!(file, "{}", self.json(repetition, &figures))?;
        }
        self.done.push(figures);
        Ok(())
    }

    /// Prints the medians; says whether there was no fault.
    pub(crate) fn finish(self) -> bool {
        let Some(first) = self.done.first() else { return false };
        println!("{:26} {:>10}  range", "", "median");
        for (name, _) in &first.values {
            let of_one = |figures: &Figures| figures.values.iter().find(|(n, _)| n == name).map(|(_, v)| *v);
            let values: Vec<f64> = self.done.iter().filter_map(of_one).collect();
            if let Some(Summary { median, least, most }) = Summary::of(&values) {
                println!("{name:26} {:>10}  {} – {}", short(median), short(least), short(most));
            }
        }
        !self.done.iter().any(|figures| figures.faults.any())
    }

    fn json(&self, repetition: u32, figures: &Figures) -> Value {
        let plan = self.plan;
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let values: Map<String, Value> =
            figures.values.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        json!({
            "at": at,
            "mode": format!("{:?}", plan.mode).to_lowercase(),
            "repetition": repetition,
            "options": {
                "durability": plan.durability,
                "connections": plan.connections,
                "window": plan.window,
                "receivers": plan.receivers,
                "rooms": plan.rooms,
                "members": plan.members,
                "bytes": plan.bytes,
                "size": plan.size,
                "messages": plan.messages,
                "beside_rooms": plan.beside_rooms,
                "rate": plan.rate,
                "page_rate": plan.page_rate,
                "random": plan.random,
                "kept": plan.keep.is_some(),
                "secs": plan.span.as_secs(),
                "warmup": plan.warmup.as_secs(),
                "threads": plan.threads,
            },
            "figures": values,
            "errors": figures.faults.errors,
            "gaps": figures.faults.gaps,
            "lost": figures.faults.lost,
        })
    }
}

/// Three digits, or all before the point.
fn short(value: f64) -> String {
    match value.abs() {
        x if x >= 100.0 => format!("{value:.0}"),
        x if x >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!(short(123_456.7), "123457");
        assert_eq!(short(12.345), "12.3");
        assert_eq!(short(1.234), "1.23");
        assert_eq!(short(0.0), "0.00");
    }

    #[test]
    fn one_fault_of_any_kind_is_a_fault() {
        let mut faults = Faults::default();
        assert!(!faults.any());
        faults.add(Faults { lost: 1, ..Faults::default() });
        assert!(faults.any());
    }
}
