//! Editing with a document that stays open gives what a document opened afresh gives, at every step.

mod fixture;

use fixture::{MODULE, assistant, file};
use nestor_assist::{
    Assistant, CompleteRequest, GivenUp, LevelMemoriesConfig, OpenDocument, OpenDocuments, Speed,
};
use nestor_bsl::position::ByteOffset;
use proptest::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

const PATH: &str = "src/cf/CommonModules/Остатки/Ext/Module.bsl";

fn taught() -> Assistant {
    let mut assistant = assistant(3, None);
    let copy = "src/cf/CommonModules/Копия/Ext/Module.bsl";
    assistant
        .learn_files([file(copy, MODULE)], &mut |_| {})
        .expect("plain text");
    assistant
}

/// An editor: a text and a cursor.
struct Editor {
    text: String,
    cursor: usize,
}

impl Editor {
    fn insert(&mut self, text: &str) {
        self.text.insert_str(self.cursor, text);
        self.cursor += text.len();
    }

    /// Takes characters before the cursor away.
    fn delete(&mut self, characters: usize) {
        for _ in 0..characters {
            let before = self.text[..self.cursor].chars().next_back();
            self.cursor -= before.expect("a character").len_utf8();
            self.text.remove(self.cursor);
        }
    }

    fn jump_after(&mut self, place: &str) {
        self.cursor = self.text.find(place).expect("a place of the text") + place.len();
    }

    fn request(&self, speed: Speed) -> CompleteRequest {
        let mut request = CompleteRequest::new(PATH, self.text.clone(), ByteOffset(self.cursor));
        request.speed = speed;
        request.max_tokens = 4;
        request
    }
}

/// Asks the open document and a fresh one, and holds the answers together; returns the pieces read by the open one.
fn ask(assistant: &Assistant, open: &mut OpenDocument, editor: &Editor, speed: Speed) -> usize {
    let request = editor.request(speed);
    let found = assistant
        .complete_in(open, &request, &|| false, &|_| false)
        .expect("a completion");
    let fresh = assistant
        .complete_in(&mut open.fresh(), &request, &|| false, &|_| false)
        .expect("a completion");
    let before = &editor.text[..editor.cursor];
    assert_eq!(found.tokens, fresh.tokens, "after {before:?}");
    assert_eq!(found.contributions, fresh.contributions, "after {before:?}");
    assert_eq!(
        (found.insert, found.confidence, found.n_context),
        (fresh.insert, fresh.confidence, fresh.n_context),
        "after {before:?}"
    );
    assert_eq!(fresh.n_read, fresh.n_context);
    found.n_read
}

fn edit(assistant: &Assistant, speed: Speed) {
    let mut editor = Editor {
        text: MODULE.repeat(4),
        cursor: 0,
    };
    let mut open = OpenDocument::default();
    editor.jump_after("\tЗапрос = Новый Запрос;\n");
    ask(assistant, &mut open, &editor, speed);
    // A line typed in, character by character.
    let typed = "\tЕсли Склад = Неопределено Тогда\n\t\tВозврат;\n\tКонецЕсли;\n";
    let mut read = Vec::new();
    for c in typed.chars() {
        editor.insert(c.encode_utf8(&mut [0; 4]));
        read.push(ask(assistant, &mut open, &editor, speed));
    }
    // A character is a piece at most, and what a finished word changes.
    assert!(read.iter().all(|n| *n <= 24), "{read:?}");
    assert!(
        read.iter().sum::<usize>() < 3 * typed.chars().count(),
        "{read:?}"
    );
    // Taken back and typed again: undo and redo.
    editor.delete(9);
    assert!(ask(assistant, &mut open, &editor, speed) <= 48);
    editor.insert("ецЕсли;\n\t");
    ask(assistant, &mut open, &editor, speed);
    // A block pasted, and taken away.
    editor.insert(MODULE);
    ask(assistant, &mut open, &editor, speed);
    editor.delete(MODULE.chars().count());
    ask(assistant, &mut open, &editor, speed);
    // Elsewhere, back, and to the ends.
    editor.jump_after("Function IsEmpty(Value) Export\n");
    ask(assistant, &mut open, &editor, speed);
    editor.jump_after("Новый Запрос;\n");
    ask(assistant, &mut open, &editor, speed);
    editor.cursor = 0;
    ask(assistant, &mut open, &editor, speed);
    editor.cursor = editor.text.len();
    ask(assistant, &mut open, &editor, speed);
    // Text before the cursor changes while it stands still, as by another cursor.
    editor.text.replace_range(..0, "// Начало\n");
    editor.cursor += "// Начало\n".len();
    ask(assistant, &mut open, &editor, speed);
    editor.insert("\nПроцедура Новая()\n\tСообщить(\"А");
    ask(assistant, &mut open, &editor, speed);
}

/// Nobody gives up.
fn never() -> GivenUp {
    Arc::new(|| false)
}

/// Reads ahead, given up after `patience` questions; true when all was read.
fn read_ahead(
    assistant: &Assistant,
    open: &mut OpenDocument,
    editor: &Editor,
    patience: usize,
) -> bool {
    let left = std::cell::Cell::new(patience);
    let cancelled = || {
        let now = left.get();
        left.set(now.saturating_sub(1));
        now == 0
    };
    assistant
        .read_ahead(open, &editor.request(Speed::Fast), &cancelled)
        .expect("a text")
}

#[test]
fn what_was_read_ahead_serves_the_next_request_and_changes_no_answer() {
    let assistant = taught();
    let mut editor = Editor {
        text: MODULE.repeat(4),
        cursor: 0,
    };
    // Two documents are asked the same; one is read ahead wherever a cursor passes.
    let (mut ahead, mut plain) = (OpenDocument::default(), OpenDocument::default());
    let places = [
        "\tЗапрос = Новый Запрос;\n",
        "Function IsEmpty(Value) Export\n",
        "Новый Запрос;",
    ];
    let speed = Speed::Fast;
    for (idx, place) in places.iter().enumerate() {
        // Elsewhere in the same line, where the rest of the line is another: its suffix must not stick.
        editor.jump_after(&place[..place.char_indices().nth(6).expect("long").0]);
        read_ahead(&assistant, &mut ahead, &editor, usize::MAX);
        editor.jump_after(place);
        assert!(!read_ahead(&assistant, &mut ahead, &editor, idx));
        assert!(read_ahead(&assistant, &mut ahead, &editor, usize::MAX));
        let request = editor.request(speed);
        let ask = |open: &mut OpenDocument| {
            assistant
                .complete_in(open, &request, &|| false, &|_| false)
                .expect("a completion")
        };
        let (warm, cold) = (ask(&mut ahead), ask(&mut plain));
        assert_eq!(
            (&warm.insert, &warm.tokens),
            (&cold.insert, &cold.tokens),
            "{place}"
        );
        assert!(warm.n_read <= 4, "{} pieces at {place}", warm.n_read);
        assert!(cold.n_read > 4 * warm.n_read.max(1), "{}", cold.n_read);
        editor.insert("\tА");
    }
}

#[test]
fn a_request_during_reading_ahead_finds_the_suffix_that_is_held() {
    let assistant = taught();
    let mut editor = Editor {
        text: MODULE.repeat(2),
        cursor: 0,
    };
    let documents = OpenDocuments::new(64 << 20);
    let alone = OpenDocuments::new(64 << 20);
    let ask = |documents: &OpenDocuments, editor: &Editor| {
        let request = editor.request(Speed::Fast);
        let answer = documents.complete(&assistant, "a", &request, &never(), &|_| false);
        answer.expect("a completion")
    };
    editor.jump_after("Запрос = ");
    let (one, other) = (ask(&documents, &editor), ask(&alone, &editor));
    assert_eq!(one.tokens, other.tokens);
    // The rest of the line changes: the suffix stays that of the first request. Far behind, so that there is much to read.
    editor.jump_after("Запрос = Новый ");
    editor.insert(&MODULE.repeat(4));
    let begun = Arc::new(AtomicUsize::new(0));
    let looks = Arc::clone(&begun);
    let given_up: GivenUp = Arc::new(move || {
        // Slow enough to be overtaken, whatever the machine.
        std::thread::sleep(Duration::from_millis(20));
        looks.fetch_add(1, Ordering::Relaxed);
        false
    });
    let request = editor.request(Speed::Fast);
    let meanwhile = std::thread::scope(|scope| {
        let ahead = scope.spawn(|| documents.read_ahead(&assistant, "a", &request, &given_up));
        while begun.load(Ordering::Relaxed) < 3 {
            std::thread::yield_now();
        }
        let meanwhile = ask(&documents, &editor);
        let is_whole = ahead.join().expect("no panic").expect("a text");
        assert!(!is_whole, "the request ended it");
        meanwhile
    });
    let cold = ask(&alone, &editor);
    assert_eq!(meanwhile.tokens, cold.tokens);
    // What was read ahead is not read again.
    assert!(
        meanwhile.n_read + 64 <= cold.n_read,
        "{} of {}",
        meanwhile.n_read,
        cold.n_read
    );
    assert_eq!(documents.len(), 1);
    assert_eq!(ask(&documents, &editor).n_read, 0);
}

#[test]
fn a_document_in_use_is_waited_for_only_where_its_request_was_given_up() {
    let assistant = taught();
    let editor = Editor {
        text: MODULE.repeat(4),
        cursor: MODULE.len() * 4,
    };
    let request = editor.request(Speed::Fast);
    let whole = assistant.complete(&request).expect("a completion");
    for is_given_up in [true, false] {
        let documents = OpenDocuments::new(64 << 20);
        let (begun, gone) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let given_up: GivenUp = {
            let (begun, gone) = (Arc::clone(&begun), Arc::clone(&gone));
            Arc::new(move || {
                std::thread::sleep(Duration::from_millis(20));
                begun.fetch_add(1, Ordering::Relaxed);
                gone.load(Ordering::Relaxed)
            })
        };
        let ask = |given_up: &GivenUp| {
            let answer = documents.complete(&assistant, "a", &request, given_up, &|_| false);
            answer.expect("an answer")
        };
        std::thread::scope(|scope| {
            let older = scope.spawn(|| ask(&given_up));
            while begun.load(Ordering::Relaxed) < 3 {
                std::thread::yield_now();
            }
            // While the document is used it is read ahead by nobody.
            let ahead = documents.read_ahead(&assistant, "a", &request, &never());
            assert!(!ahead.expect("a text"));
            gone.store(is_given_up, Ordering::Relaxed);
            let newer = ask(&never());
            assert_eq!(newer.tokens, whole.tokens);
            assert_eq!(newer.n_read < whole.n_read, is_given_up);
            let older = older.join().expect("no panic");
            assert_eq!(older.tokens.is_empty(), is_given_up);
        });
        assert_eq!(documents.len(), 1);
    }
}

#[test]
fn a_cancelled_request_stops_while_it_reads_and_what_was_read_stays() {
    let assistant = taught();
    let mut editor = Editor {
        text: MODULE.repeat(8),
        cursor: 0,
    };
    editor.cursor = editor.text.len();
    let mut open = OpenDocument::default();
    let asked = std::cell::Cell::new(0);
    let cancelled = || {
        asked.set(asked.get() + 1);
        asked.get() > 2
    };
    let request = editor.request(Speed::Fast);
    let given_up = assistant
        .complete_in(&mut open, &request, &cancelled, &|_| false)
        .expect("an answer");
    assert_eq!(given_up.stop, nestor_assist::StopReason::Cancelled);
    assert_eq!(asked.get(), 3);
    let n_read = ask(&assistant, &mut open, &editor, Speed::Fast);
    let whole = ask(
        &assistant,
        &mut OpenDocument::default(),
        &editor,
        Speed::Fast,
    );
    assert!(n_read < whole, "{n_read} of {whole}");
}

#[test]
fn an_open_document_answers_like_a_fresh_one_at_every_step() {
    let assistant = taught();
    for speed in [Speed::Fast, Speed::Accurate] {
        edit(&assistant, speed);
    }
}

#[test]
fn so_it_does_where_memories_are_at_work() {
    let mut assistant = taught();
    let mut levels = assistant
        .empty_levels(LevelMemoriesConfig::default())
        .expect("usual settings");
    let model = assistant.model().clone();
    let rows = vec![vec![0.5; 64 * model.config().width]; 3];
    levels
        .learn(&model, &rows, &[300; 64], 1)
        .expect("rows of the model");
    assistant.set_levels(Some(levels));
    edit(&assistant, Speed::Balanced);
}

/// What an editor can do, at a place given as a share of the text.
#[derive(Clone, Debug)]
enum Edit {
    Type(String),
    Delete(usize),
    Jump(f64),
    /// Text somewhere else changes, and the cursor stays with its text.
    Elsewhere(f64, String),
    Replace(String),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let text = prop_oneof![
        "[а-яА-Я]{1,8}",
        Just("\n\tЗапрос.УстановитьПараметр(\"Склад\", ".to_owned()),
        Just("КонецПроцедуры\n\nПроцедура Вторая()\n".to_owned()),
        Just("\"ВЫБРАТЬ\n\t|\t".to_owned()),
        Just("\r\n// 🙂 \"".to_owned()),
        "[\n\t .;=|\"&a-z0-9]{1,5}",
    ];
    let edit = prop_oneof![
        4 => text.clone().prop_map(Edit::Type),
        3 => (1usize..30).prop_map(Edit::Delete),
        1 => (0.0f64..=1.0).prop_map(Edit::Jump),
        1 => (0.0f64..=1.0, text.clone()).prop_map(|(at, text)| Edit::Elsewhere(at, text)),
        1 => text.prop_map(|text| Edit::Replace(text.repeat(20))),
    ];
    proptest::collection::vec(edit, 1..14)
}

impl Editor {
    fn place(&self, share: f64) -> usize {
        self.text
            .floor_char_boundary((self.text.len() as f64 * share) as usize)
    }

    fn edit(&mut self, edit: &Edit) {
        match edit {
            Edit::Type(text) => self.insert(text),
            Edit::Delete(n) => {
                let before = self.text[..self.cursor].chars().count();
                self.delete(before.min(*n));
            }
            Edit::Jump(share) => self.cursor = self.place(*share),
            Edit::Elsewhere(share, text) => {
                let at = self.place(*share);
                self.text.insert_str(at, text);
                if at <= self.cursor {
                    self.cursor += text.len();
                }
            }
            Edit::Replace(text) => {
                text.clone_into(&mut self.text);
                self.cursor = self.text.len();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn no_row_of_edits_makes_an_open_document_answer_otherwise(edits in edits(), start in 0.0f64..=1.0) {
        static TAUGHT: LazyLock<Assistant> = LazyLock::new(taught);
        let mut editor = Editor { text: MODULE.repeat(2), cursor: 0 };
        editor.cursor = editor.place(start);
        let mut open = OpenDocument::default();
        for edit in &edits {
            editor.edit(edit);
            ask(&TAUGHT, &mut open, &editor, Speed::Fast);
        }
    }
}

#[test]
fn what_the_project_learns_meanwhile_is_seen() {
    let mut assistant = taught();
    let mut editor = Editor {
        text: MODULE.to_owned(),
        cursor: 0,
    };
    editor.jump_after("Запрос.Выполнить()");
    let mut open = OpenDocument::default();
    ask(&assistant, &mut open, &editor, Speed::Fast);
    assert_eq!(ask(&assistant, &mut open, &editor, Speed::Fast), 0);
    let other = MODULE.replace(".Выбрать()", ".Выгрузить()").repeat(5);
    assistant
        .learn_files(
            [file("src/cf/CommonModules/Еще/Ext/Module.bsl", &other)],
            &mut |_| {},
        )
        .expect("plain text");
    // The network reads no counts, so nothing is read again.
    assert_eq!(ask(&assistant, &mut open, &editor, Speed::Fast), 0);
    // The file's own text is hidden, also when it was learned meanwhile.
    assistant
        .learn_files([file(PATH, MODULE)], &mut |_| {})
        .expect("plain text");
    assert_eq!(ask(&assistant, &mut open, &editor, Speed::Fast), 0);
}

#[test]
fn another_model_reads_a_document_for_itself() {
    let editor = Editor {
        text: MODULE.to_owned(),
        cursor: MODULE.len(),
    };
    let mut open = OpenDocument::default();
    ask(&taught(), &mut open, &editor, Speed::Fast);
    let other = assistant(4, None);
    assert!(ask(&other, &mut open, &editor, Speed::Fast) > 0);
    assert_eq!(ask(&other, &mut open, &editor, Speed::Fast), 0);
}

#[test]
fn a_document_at_rest_keeps_no_counts_of_a_project_alive() {
    let mut assistant = taught();
    let editor = Editor {
        text: MODULE.to_owned(),
        cursor: MODULE.len(),
    };
    let mut open = OpenDocument::default();
    ask(&assistant, &mut open, &editor, Speed::Fast);
    let before = assistant.memory().cache_for(PATH).expect("counts");
    let counts = [before.project(), before.folder()].map(std::sync::Arc::downgrade);
    drop(before);
    assert!(counts[0].upgrade().is_some());
    assistant.forget_project().expect("an empty project");
    assert!(counts.iter().all(|counts| counts.upgrade().is_none()));
    ask(&assistant, &mut open, &editor, Speed::Fast);
}

#[test]
fn open_documents_stay_under_their_bound() {
    let assistant = taught();
    let editor = Editor {
        text: MODULE.to_owned(),
        cursor: MODULE.len(),
    };
    let one = OpenDocuments::new(usize::MAX);
    let ask = |documents: &OpenDocuments, owner: &str| {
        documents
            .complete(
                &assistant,
                owner,
                &editor.request(Speed::Fast),
                &never(),
                &|_| false,
            )
            .expect("a completion")
    };
    let first = ask(&one, "a");
    assert_eq!(ask(&one, "a").n_read, 0);
    let bytes = one.bytes();
    assert!(bytes > 10_000, "{bytes}");
    let documents = OpenDocuments::new(3 * bytes);
    for owner in 0..40 {
        let found = ask(&documents, &owner.to_string());
        assert_eq!(
            (&found.insert, found.confidence),
            (&first.insert, first.confidence)
        );
        assert!(documents.bytes() <= 3 * bytes);
    }
    assert_eq!(documents.len(), 3);
    // The last one is still there, the first one is not.
    assert_eq!(ask(&documents, "39").n_read, 0);
    assert!(ask(&documents, "0").n_read > 0);
    documents.close_if(&|owner| owner == "0");
    documents.close_if(&|owner| owner == "39");
    assert_eq!(documents.len(), 1);
    let none = OpenDocuments::new(0);
    ask(&none, "a");
    assert!(none.is_empty());
}
