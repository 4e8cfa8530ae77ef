//! What Prometheus reads, read back; and what is wrong with it by the rules of `promtool check metrics`.

#![allow(dead_code, reason = "each test uses a part")]

use std::collections::{BTreeMap, BTreeSet};

/// A text of metrics.
pub struct Exposition {
    families: BTreeMap<String, Family>,
    samples: Vec<Sample>,
    faults: Vec<String>,
}

#[derive(Default)]
struct Family {
    kind: String,
    help: String,
}

/// One line.
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// What stands for a unit that is not a base one, or for one that is abbreviated.
const UNITS: [&str; 24] = [
    "milliseconds",
    "microseconds",
    "nanoseconds",
    "minutes",
    "hours",
    "days",
    "weeks",
    "kilobytes",
    "megabytes",
    "gigabytes",
    "bits",
    "percent",
    "ms",
    "us",
    "ns",
    "sec",
    "s",
    "b",
    "kb",
    "mb",
    "gb",
    "min",
    "h",
    "d",
];
/// A name does not say what the type says.
const TYPES: [&str; 5] = ["gauge", "counter", "summary", "histogram", "untyped"];

impl Exposition {
    pub fn read(text: &str) -> Self {
        let mut read = Self { families: BTreeMap::new(), samples: Vec::new(), faults: Vec::new() };
        if !text.ends_with('\n') {
            read.faults.push("the last line has no end".to_owned());
        }
        let mut series = BTreeSet::new();
        for line in text.lines() {
            if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
                read.describe(name, |family| &mut family.help, help);
            } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
                read.describe(name, |family| &mut family.kind, kind);
            } else if let Some(sample) = sample(line) {
                if !series.insert((sample.name.clone(), sample.labels.clone())) {
                    read.faults.push(format!("twice: {line}"));
                }
                read.samples.push(sample);
            } else {
                read.faults.push(format!("not a sample: {line}"));
            }
        }
        read
    }

    fn describe(&mut self, name: &str, part: fn(&mut Family) -> &mut String, text: &str) {
        let part = part(self.families.entry(name.to_owned()).or_default());
        if !part.is_empty() {
            self.faults.push(format!("{name}: described twice"));
        }
        text.clone_into(part);
    }

    /// The sum of the samples of this name with these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |sample: &&Sample| {
            sample.name == name
                && labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|is| is == value))
        };
        self.samples.iter().filter(fits).map(|sample| sample.value).sum()
    }

    /// All names that are described.
    pub fn families(&self) -> impl Iterator<Item = &str> {
        self.families.keys().map(String::as_str)
    }

    /// Everything wrong with it.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.faults.clone();
        for sample in &self.samples {
            let family = ["", "_bucket", "_sum", "_count"].iter().find_map(|suffix| {
                let name = sample.name.strip_suffix(suffix)?;
                self.families.get(name).filter(|family| suffix.is_empty() || family.kind == "histogram")
            });
            match family {
                None => faults.push(format!("{}: neither type nor help", sample.name)),
                Some(family) if sample.labels.contains_key("le") && family.kind != "histogram" => {
                    faults.push(format!("{}: `le` is for histograms", sample.name));
                }
                Some(_) => {}
            }
            faults.extend(sample.labels.keys().filter(|label| !is_snake(label)).map(|label| format!("label {label}")));
        }
        for (name, family) in &self.families {
            faults.extend(misnamed(name, family).map(|what| format!("{name}: {what}")));
            if family.kind == "histogram" {
                faults.extend(self.broken_histogram(name));
            }
        }
        faults
    }

    /// Classes only grow, and the last one is the count.
    fn broken_histogram(&self, name: &str) -> Vec<String> {
        let mut classes: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
        for sample in self.samples.iter().filter(|sample| sample.name == format!("{name}_bucket")) {
            let mut labels = sample.labels.clone();
            let bound = labels.remove("le").unwrap_or_default();
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap_or(f64::NAN) };
            classes.entry(labels).or_default().push((bound, sample.value));
        }
        let broken = |(labels, classes): &(&BTreeMap<String, String>, &Vec<(f64, f64)>)| {
            let given: Vec<_> = labels.iter().map(|(label, value)| (&**label, &**value)).collect();
            let grow = classes.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
            let last = classes.last().copied().unwrap_or_default();
            !grow || last != (f64::INFINITY, self.sum(&format!("{name}_count"), &given))
        };
        classes.iter().filter(broken).map(|(labels, _)| format!("{name}{labels:?}: not a histogram")).collect()
    }
}

fn misnamed(name: &str, family: &Family) -> impl Iterator<Item = String> {
    let words: Vec<&str> = name.split('_').collect();
    let is_counter = family.kind == "counter";
    let ends = |suffix: &str| name.ends_with(suffix);
    [
        (family.help.is_empty(), "no help"),
        (!is_snake(name), "not in snake_case"),
        (is_counter && !ends("_total"), "a counter ends with _total"),
        (!is_counter && ends("_total"), "only a counter ends with _total"),
        (["_bucket", "_count", "_sum"].iter().any(|suffix| ends(suffix)), "ends as a part of a histogram"),
        (words.iter().any(|word| TYPES.contains(word)), "names its type"),
        (words.iter().any(|word| UNITS.contains(word)), "has a unit that is not a base unit, or is cut short"),
    ]
    .into_iter()
    .filter(|(is_wrong, _)| *is_wrong)
    .map(|(_, what)| what.to_owned())
    .collect::<Vec<_>>()
    .into_iter()
}

fn is_snake(name: &str) -> bool {
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
    starts && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// `name{label="value",...} value`
fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let mut labels = BTreeMap::new();
    let name = match series.split_once('{') {
        None => series,
        Some((name, mut rest)) => {
            while let Some((label, quoted)) = rest.split_once("=\"") {
                let end = quoted.char_indices().scan(false, |escaped, (at, c)| {
                    let ends = c == '"' && !*escaped;
                    *escaped = c == '\\' && !*escaped;
                    Some((at, ends))
                });
                let end = end.filter(|(_, ends)| *ends).map(|(at, _)| at).next()?;
                labels.insert(label.trim_start_matches(',').to_owned(), quoted[..end].to_owned());
                rest = &quoted[end + 1..];
            }
            if rest != "}" {
                return None;
            }
            name
        }
    };
    Some(Sample { name: name.to_owned(), labels, value: value.parse().ok()? })
}

#[test]
fn the_rules_see_what_is_wrong() {
    let described = |name: &str, kind: &str| format!("# HELP {name} Help.\n# TYPE {name} {kind}\n{name} 1\n");
    for (text, fault) in [
        (described("a_total", "counter"), None),
        (described("a_seconds", "gauge"), None),
        (described("a", "counter"), Some("a counter ends with _total")),
        (described("a_total", "gauge"), Some("only a counter ends with _total")),
        (described("a_ms", "gauge"), Some("base unit")),
        (described("a_gauge", "gauge"), Some("names its type")),
        (described("a_count", "gauge"), Some("part of a histogram")),
        (described("aB", "gauge"), Some("snake_case")),
        ("a 1\n".to_owned(), Some("neither type nor help")),
        ("# TYPE a gauge\na 1\n".to_owned(), Some("no help")),
        (described("a", "gauge") + "a 1\n", Some("twice")),
        (described("a", "gauge") + "a{x=\"\\\"\"} x\n", Some("not a sample")),
        (described("a", "gauge") + "a{le=\"1\"} 1\n", Some("`le` is for histograms")),
        (described("a", "gauge").trim_end().to_owned(), Some("no end")),
        (
            "# HELP x X.\n# TYPE x histogram\nx_bucket{le=\"1\"} 2\nx_bucket{le=\"+Inf\"} 1\nx_sum 1\nx_count 1\n"
                .to_owned(),
            Some("not a histogram"),
        ),
    ] {
        let faults = Exposition::read(&text).faults();
        match fault {
            None => assert!(faults.is_empty(), "{text}: {faults:?}"),
            Some(fault) => assert!(faults.len() == 1 && faults[0].contains(fault), "{text}: {faults:?}"),
        }
    }
}
