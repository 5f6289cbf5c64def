//! What a codebase must not teach: text that is no code of people, a fifth of a stream, by kind.
//!
//! Every text is made here from a seed, but for copies of a file of the stream itself. `bench learn` teaches it without the filter that
//! `nestor learn` has (docs/project-memory.md), so the harm is what the memories themselves let through.

use nestor_assist::LearnFile;
use nestor_bsl::similarity::mix;

/// Pieces of garbage for each piece of the source: a fifth of the stream.
const SHARE: f64 = 0.25;

/// Pieces of a garbage file at least, and so about as many too many at most.
const MIN_PIECES: usize = 64;

/// A kind of garbage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Base64 in lines.
    Packed,
    /// Statements without lines.
    Minified,
    /// Lines that differ in numbers and names only.
    Generated,
    /// Other languages.
    Languages,
    /// Russian and English sentences.
    Prose,
    /// The first file of the source again and again.
    Copies,
    /// The same with another line changed each time.
    Changing,
}

/// Every kind.
pub const KINDS: [Kind; 7] = [
    Kind::Packed,
    Kind::Minified,
    Kind::Generated,
    Kind::Languages,
    Kind::Prose,
    Kind::Copies,
    Kind::Changing,
];

const NAMES: [&str; 12] = [
    "Товар",
    "Склад",
    "Цена",
    "Остаток",
    "Документ",
    "Дата",
    "item",
    "total",
    "user",
    "index",
    "value",
    "name",
];

impl Kind {
    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Packed => "packed",
            Self::Minified => "minified",
            Self::Generated => "generated",
            Self::Languages => "languages",
            Self::Prose => "prose",
            Self::Copies => "copies",
            Self::Changing => "changing",
        }
    }

    /// The key of its name in messages.
    pub fn message(self) -> &'static str {
        match self {
            Self::Packed => "bench-learn-packed",
            Self::Minified => "bench-learn-minified",
            Self::Generated => "bench-learn-generated",
            Self::Languages => "bench-learn-languages",
            Self::Prose => "bench-learn-prose",
            Self::Copies => "bench-learn-copies",
            Self::Changing => "bench-learn-changing",
        }
    }

    /// One file of garbage behind each file: so many pieces of it, as `pieces_of` counts them, that the garbage makes a fifth of both.
    pub fn behind(self, files: &[LearnFile], pieces_of: impl Fn(&str) -> usize) -> Vec<LearnFile> {
        let first: Vec<&str> = files
            .first()
            .map_or("", |file| &file.text)
            .lines()
            .collect();
        let mut maker = Maker {
            random: 0x9e37_79b9_7f4a_7c15,
            at: 0,
        };
        let mut owed = 0.0;
        let mut made = Vec::with_capacity(files.len());
        for (idx, file) in files.iter().enumerate() {
            owed += SHARE * pieces_of(&file.text) as f64;
            let mut text = String::new();
            let mut pieces = 0;
            maker.at = 0;
            // A short file owes too little for a file of its own; the next one pays for both.
            while owed >= MIN_PIECES as f64 && (pieces as f64) < owed {
                let mut line = maker.line(self, &first, idx);
                if self != Self::Minified {
                    line.push('\n');
                }
                // An empty line has no pieces of its own, and a file may have nothing else.
                pieces += pieces_of(&line).max(1);
                text.push_str(&line);
            }
            owed -= pieces as f64;
            made.push(LearnFile {
                path: format!("CommonModules/Garbage{idx}/Ext/Module.bsl"),
                text,
            });
        }
        made
    }
}

/// Makes line after line.
struct Maker {
    random: u64,
    /// Lines of the file so far.
    at: usize,
}

impl Maker {
    fn below(&mut self, n: usize) -> usize {
        self.random = mix(self.random);
        (self.random % n as u64) as usize
    }

    fn name(&mut self) -> &'static str {
        NAMES[self.below(NAMES.len())]
    }

    /// The next line of the garbage file `file`; `copied` are the lines of what is copied.
    fn line(&mut self, kind: Kind, copied: &[&str], file: usize) -> String {
        let at = self.at;
        self.at += 1;
        let [a, b, c] = [self.name(), self.name(), self.name()];
        match kind {
            Kind::Packed => self.packed(76),
            Kind::Minified => format!("{a}={b}.{c}({at});"),
            Kind::Generated => {
                let number = self.below(999);
                format!("\tТаблица.Добавить(\"{a}{at}\", {number}, \"{c}\");")
            }
            Kind::Languages => match at % 8 {
                0 => format!("function {a}{at}({b}, {c}) {{"),
                1 => format!("  if ({a} === {b}) {{ return {c}.map(x => x + {at}); }}"),
                2 => format!("public static int {a}{at}(string {b}, List<int> {c}) {{"),
                3 => format!("def {a}{at}({b}, {c}): return [{a} for {b} in {c}]"),
                4 => format!("SELECT {a}.{b}, COUNT(*) AS n FROM {c} JOIN {a} ON {a}.id = {c}.id;"),
                5 => format!("<{a} {b}=\"{at}\"><{c}>{at}</{c}></{a}>"),
                6 => format!("{{\"{a}\": {at}, \"{b}\": [\"{c}\", null, true]}},"),
                _ => format!("{at},{a},{b},\"{c}\""),
            },
            Kind::Prose => match at % 2 {
                0 => format!("Этот {a} всегда лежал у окна, где {b} видел {c} каждый день."),
                _ => format!("The {a} of every {b} was taken to the {c}, and nobody knew why."),
            },
            Kind::Copies | Kind::Changing => {
                let line = copied
                    .get(at % copied.len().max(1))
                    .copied()
                    .unwrap_or_default();
                let changed = kind == Kind::Changing && at % 40 == file % 40;
                if changed {
                    format!("\t{a}.{b} = {file}; // {c}")
                } else {
                    line.to_owned()
                }
            }
        }
    }

    fn packed(&mut self, len: usize) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut letter = || char::from(LETTERS[self.below(LETTERS.len())]);
        (0..len).map(|_| letter()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(idx: usize) -> LearnFile {
        LearnFile {
            path: format!("{idx}.bsl"),
            text: format!("Процедура П{idx}()\n\tА = {idx};\nКонецПроцедуры\n").repeat(100),
        }
    }

    #[test]
    fn garbage_is_a_fifth_of_the_stream_and_the_same_each_time() {
        let files: Vec<LearnFile> = (0..4).map(file).collect();
        let letters = |text: &str| text.chars().count();
        let code: usize = files.iter().map(|file| letters(&file.text)).sum();
        for kind in KINDS {
            let made = kind.behind(&files, letters);
            assert_eq!(made, kind.behind(&files, letters), "{kind:?}");
            assert_eq!(made.len(), files.len());
            let garbage: usize = made.iter().map(|file| letters(&file.text)).sum();
            let share = garbage as f64 / (garbage + code) as f64;
            assert!((0.18..0.3).contains(&share), "{kind:?}: {share}");
        }
    }

    #[test]
    fn every_kind_is_what_its_name_says() {
        let files: Vec<LearnFile> = (0..3).map(file).collect();
        let of = |kind: Kind| {
            let made = kind.behind(&files, |text| text.chars().count());
            made.into_iter().map(|file| file.text).collect::<Vec<_>>()
        };
        assert!(of(Kind::Packed).iter().all(|text| !text.contains(' ')));
        assert!(of(Kind::Minified).iter().all(|text| !text.contains('\n')));
        assert!(
            of(Kind::Copies)
                .iter()
                .all(|text| text.starts_with("Процедура П0"))
        );
        let [first, second, _] = <[String; 3]>::try_from(of(Kind::Changing)).unwrap();
        let different = first.lines().zip(second.lines()).filter(|(a, b)| a != b);
        assert!((1..20).contains(&different.count()));
    }

    #[test]
    fn files_too_short_for_garbage_get_none() {
        let short = [LearnFile {
            path: "a.bsl".into(),
            text: "А = 1;".into(),
        }];
        for kind in KINDS {
            let made = kind.behind(&short, |text| text.len());
            assert_eq!(made[0].text, "", "{kind:?}");
        }
    }
}
