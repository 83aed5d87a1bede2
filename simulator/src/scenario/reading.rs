//! TOML tables read key by key, with the line of everything for the errors.

use super::{
    error::{Problem, ScenarioError},
    nearest::nearest,
    units,
};
use crate::schedule::When;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The result of reading something.
pub(super) type Read<T> = Result<T, ScenarioError>;

/// The file that is read.
pub(super) struct Source<'a> {
    /// As it was named.
    pub file: &'a str,
    /// Where its lines end.
    ends: Vec<usize>,
}

impl<'a> Source<'a> {
    /// A file of that name and content.
    pub fn new(file: &'a str, text: &str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at).collect();
        Self { file, ends }
    }

    /// The line of a byte, from 1.
    pub fn line(&self, byte: usize) -> usize {
        1 + self.ends.partition_point(|end| *end < byte)
    }

    /// An error on a line.
    pub fn refuse<T>(&self, line: usize, problem: Problem) -> Read<T> {
        Err(ScenarioError {
            file: self.file.to_owned(),
            line,
            problem: Box::new(problem),
        })
    }
}

/// A table, and where it stands.
#[derive(Clone)]
pub(super) struct Table<'a> {
    source: &'a Source<'a>,
    /// What it is called in errors: `[network]`.
    place: String,
    /// What stands before its keys in errors: `network.`, or nothing.
    prefix: String,
    /// Line of its heading.
    pub line: usize,
    entries: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    /// The whole file.
    pub fn root(source: &'a Source<'a>, entries: &'a DeTable<'a>) -> Self {
        Self {
            source,
            place: "the scenario".to_owned(),
            prefix: String::new(),
            line: 1,
            entries,
        }
    }

    /// Refuses every key that is not known.
    pub fn only(&self, known: &[&str]) -> Read<()> {
        self.only_of(known.iter().copied())
    }

    /// Refuses every key that is not known, those known coming from anywhere.
    pub fn only_of<'k>(&self, known: impl Iterator<Item = &'k str> + Clone) -> Read<()> {
        // In the order of the file, not of the letters.
        let unknown = self.entries.keys().filter(|key| {
            let name: &str = key.get_ref();
            !known.clone().any(|known| known == name)
        });
        let Some(key) = unknown.min_by_key(|key| key.span().start) else {
            return Ok(());
        };
        let problem = Problem::UnknownKey {
            key: key.get_ref().chars().take(64).collect(),
            place: self.place.clone(),
            meant: nearest(key.get_ref(), known.clone()),
            known: known.map(str::to_owned).collect(),
        };
        self.source
            .refuse(self.source.line(key.span().start), problem)
    }

    /// The keys it has, in the order of the file.
    pub fn keys(&self) -> Vec<&'a str> {
        let mut keys: Vec<_> = self.entries.keys().collect();
        keys.sort_by_key(|key| key.span().start);
        keys.into_iter().map(|key| key.get_ref().as_ref()).collect()
    }

    /// The value of a key, if there is one.
    pub fn field(&self, key: &str) -> Option<Field<'a>> {
        let (name, value) = self.entries.get_key_value(key)?;
        Some(Field {
            source: self.source,
            key: format!("{}{key}", self.prefix),
            line: self.source.line(name.span().start),
            value: value.get_ref(),
        })
    }

    /// The value of a key that must be there; `example` is a line that would do.
    pub fn need(&self, key: &'static str, example: &'static str) -> Read<Field<'a>> {
        self.field(key).map_or_else(
            || {
                let place = self.place.clone();
                self.refuse(Problem::Missing {
                    place,
                    key,
                    example,
                })
            },
            Ok,
        )
    }

    /// The tables of `[[key]]`, none where there is no such key.
    pub fn tables(&self, key: &str) -> Read<Vec<Table<'a>>> {
        let Some(field) = self.field(key) else {
            return Ok(Vec::new());
        };
        let expected = "tables under headings in double brackets, for example [[fault]]";
        let DeValue::Array(array) = field.value else {
            return field.wrong_type(expected);
        };
        let mut tables = Vec::with_capacity(array.len());
        for element in array.iter() {
            let DeValue::Table(entries) = element.get_ref() else {
                return field.wrong_type(expected);
            };
            tables.push(Table {
                source: self.source,
                place: format!("[[{key}]]"),
                prefix: format!("{key}."),
                line: self.source.line(element.span().start),
                entries,
            });
        }
        Ok(tables)
    }

    /// The table under a key, if there is one.
    pub fn table(&self, key: &str) -> Read<Option<Table<'a>>> {
        self.field(key).map(|field| field.table()).transpose()
    }

    /// The same table called something else in errors.
    pub fn named(mut self, place: String) -> Self {
        self.place = place;
        self
    }

    /// An error at its heading.
    pub fn refuse<T>(&self, problem: Problem) -> Read<T> {
        self.source.refuse(self.line, problem)
    }
}

/// A value, and where it stands.
#[derive(Clone)]
pub(super) struct Field<'a> {
    source: &'a Source<'a>,
    /// Its name in errors: `network.latency`.
    pub key: String,
    /// Line of its key.
    pub line: usize,
    value: &'a DeValue<'a>,
}

impl<'a> Field<'a> {
    /// An error here.
    pub fn refuse<T>(&self, problem: Problem) -> Read<T> {
        self.source.refuse(self.line, problem)
    }

    /// An error of a type.
    pub fn wrong_type<T>(&self, expected: &'static str) -> Read<T> {
        let value = match self.value {
            DeValue::Integer(number) => format!("the number {}", number.as_str()),
            DeValue::Float(number) => format!("the number {}", number.as_str()),
            DeValue::String(text) => format!("the text {:?}", cut(text)),
            other => format!("a value of type {}", other.type_str()),
        };
        self.refuse(Problem::Type {
            key: self.key.clone(),
            expected,
            found: value,
        })
    }

    /// Its text, if it is one.
    pub fn as_text(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    /// Its text.
    pub fn text(&self, expected: &'static str) -> Read<&'a str> {
        self.as_text().map_or_else(|| self.wrong_type(expected), Ok)
    }

    /// True or false.
    pub fn flag(&self) -> Read<bool> {
        let expected = "true or false";
        self.value
            .as_bool()
            .map_or_else(|| self.wrong_type(expected), Ok)
    }

    /// The table that it is.
    pub fn table(&self) -> Read<Table<'a>> {
        let DeValue::Table(entries) = self.value else {
            return self.wrong_type("a table, for example { step = \"1s\" }");
        };
        Ok(Table {
            source: self.source,
            place: format!("[{}]", self.key),
            prefix: format!("{}.", self.key),
            line: self.line,
            entries,
        })
    }

    /// Its elements.
    pub fn list(&self, expected: &'static str) -> Read<Vec<Field<'a>>> {
        let DeValue::Array(array) = self.value else {
            return self.wrong_type(expected);
        };
        let element = |value: &'a Spanned<DeValue<'a>>| Field {
            source: self.source,
            key: self.key.clone(),
            line: self.source.line(value.span().start),
            value: value.get_ref(),
        };
        Ok(array.iter().map(element).collect())
    }

    /// Whether it is a list.
    pub fn is_list(&self) -> bool {
        self.value.is_array()
    }

    /// Whether it is a table.
    pub fn is_table(&self) -> bool {
        self.value.is_table()
    }

    /// A whole number of a range.
    pub fn whole(&self, low: u64, high: u64) -> Read<u64> {
        let found = self.signed()?;
        match u64::try_from(found) {
            Ok(found) if (low..=high).contains(&found) => Ok(found),
            _ => self.outside(low, high, found),
        }
    }

    /// A whole number that may be negative.
    pub fn signed(&self) -> Read<i64> {
        let DeValue::Integer(number) = self.value else {
            return self.wrong_type("a whole number");
        };
        i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| self.wrong_type("a whole number below 2⁶³"), Ok)
    }

    /// A number of a range.
    pub fn real(&self, low: f64, high: f64) -> Read<f64> {
        let found = match self.value {
            DeValue::Integer(_) => self.signed()? as f64,
            DeValue::Float(number) => number
                .as_str()
                .parse()
                .map_or_else(|_| self.wrong_type("a number"), Ok)?,
            _ => return self.wrong_type("a number without a unit"),
        };
        if (low..=high).contains(&found) {
            return Ok(found);
        }
        self.outside(low, high, found)
    }

    /// A probability.
    pub fn share(&self) -> Read<f64> {
        self.real(0.0, 1.0)
    }

    /// Microseconds.
    pub fn time_us(&self) -> Read<u64> {
        self.measure(units::TIME, units::time_us)
    }

    /// Microseconds, not zero.
    pub fn some_time_us(&self) -> Read<u64> {
        let found = self.time_us()?;
        self.not_zero(found, units::TIME)
    }

    /// Bytes, not zero.
    pub fn size(&self) -> Read<u64> {
        let found = self.measure(units::SIZE, units::size)?;
        self.not_zero(found, units::SIZE)
    }

    /// Bytes a second, not zero.
    pub fn rate(&self) -> Read<u64> {
        let found = self.measure(units::RATE, units::rate)?;
        self.not_zero(found, units::RATE)
    }

    /// A moment: `"90s"`, `"round:50"`, `"round:50+30s"`.
    pub fn when(&self) -> Read<When> {
        const MOMENT: &str =
            "a moment: \"90s\" after the beginning, \"round:50\", or \"round:50+30s\"";
        let text = self.text(MOMENT)?;
        let Some(rest) = text.strip_prefix("round:") else {
            return Ok(When::At(self.measure(MOMENT, units::time_us)?));
        };
        let (round, offset) = rest.split_once('+').unwrap_or((rest, "0s"));
        match (round.parse::<u64>(), units::time_us(offset)) {
            (Ok(round), Ok(offset)) if round <= 1 << 40 => Ok(When::Round(round, offset)),
            (_, offset) => self.refuse(Problem::Unit {
                key: self.key.clone(),
                expected: MOMENT,
                found: cut(text),
                hint: offset.err().unwrap_or("that is no round"),
            }),
        }
    }

    /// One of some names; `what` says of what.
    pub fn one_of<T: Copy>(&self, what: &'static str, known: &[(&str, T)]) -> Read<T> {
        let found = self.text("a name in quotes")?;
        let of_that_name = known.iter().find(|(name, _)| *name == found);
        of_that_name.map_or_else(
            || self.unknown(what, found, known.iter().map(|(name, _)| *name)),
            |(_, value)| Ok(*value),
        )
    }

    /// An error of a name that is not among those known.
    pub fn unknown<'k, T>(
        &self,
        what: &'static str,
        found: &str,
        known: impl Iterator<Item = &'k str> + Clone,
    ) -> Read<T> {
        self.refuse(Problem::Name {
            key: self.key.clone(),
            what,
            found: cut(found),
            meant: nearest(found, known.clone()),
            known: known.map(str::to_owned).collect(),
        })
    }

    /// An error of a number outside its range.
    pub fn outside<T>(
        &self,
        low: impl ToString,
        high: impl ToString,
        found: impl ToString,
    ) -> Read<T> {
        self.refuse(Problem::Range {
            key: self.key.clone(),
            low: low.to_string(),
            high: high.to_string(),
            found: found.to_string(),
        })
    }

    /// An error that says what contradicts this.
    pub fn contradicts<T>(&self, why: impl Into<String>) -> Read<T> {
        self.refuse(Problem::Contradiction {
            key: self.key.clone(),
            why: why.into(),
        })
    }

    /// The value as one without lines.
    pub fn plain(&self) -> toml::Value {
        plain(self.value)
    }

    fn measure(
        &self,
        expected: &'static str,
        read: impl Fn(&str) -> Result<u64, &'static str>,
    ) -> Read<u64> {
        let text = match self.value {
            DeValue::Integer(number) => number.as_str(),
            DeValue::Float(number) => number.as_str(),
            _ => self.text(expected)?,
        };
        let hint = match (self.value, read(text)) {
            (DeValue::String(_), Ok(value)) => return Ok(value),
            (_, Ok(_)) => "put it in quotes",
            (_, Err(hint)) => hint,
        };
        self.refuse(Problem::Unit {
            key: self.key.clone(),
            expected,
            found: cut(text),
            hint,
        })
    }

    fn not_zero(&self, found: u64, expected: &'static str) -> Read<u64> {
        if found > 0 {
            return Ok(found);
        }
        self.refuse(Problem::Unit {
            key: self.key.clone(),
            expected,
            found: "0".to_owned(),
            hint: "zero would do nothing",
        })
    }
}

/// The beginning of a text that is shown in an error.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

fn plain(value: &DeValue<'_>) -> toml::Value {
    match value {
        DeValue::String(text) => toml::Value::String(text.to_string()),
        DeValue::Boolean(flag) => toml::Value::Boolean(*flag),
        DeValue::Datetime(date) => toml::Value::Datetime(*date),
        DeValue::Array(array) => {
            toml::Value::Array(array.iter().map(|v| plain(v.get_ref())).collect())
        }
        DeValue::Table(table) => {
            let entries = table.iter();
            let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
                let key: &std::borrow::Cow<'_, str> = key.get_ref();
                (key.to_string(), plain(value.get_ref()))
            };
            toml::Value::Table(entries.map(entry).collect())
        }
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| text_of(number.as_str()), toml::Value::Integer),
        DeValue::Float(number) => number
            .as_str()
            .parse()
            .map_or_else(|_| text_of(number.as_str()), toml::Value::Float),
    }
}

/// A number that no machine number holds: as text it is refused where a number is expected.
fn text_of(number: &str) -> toml::Value {
    toml::Value::String(number.to_owned())
}
