//! Files held out of a codebase: what the exits lose on them while the memories of levels 2 and 3 are taught the others.
//!
//! `bench learn` and `quickstart` call it. Losses are those of the exits alone, without counts, so that a figure is the memories' own.

use nestor_assist::{AssistError, Assistant, ExitLosses, LearnFile, LevelMemories};
use nestor_eval::ProjectFile;

/// One file in so many is held out.
const HOLD_OUT: usize = 10;

/// Pieces that are scored at most, but for the rest of a file.
const SCORED_PIECES: u64 = 8_000;

/// What was read of a codebase, as it is taught.
pub fn lessons(files: Vec<ProjectFile>) -> Vec<LearnFile> {
    files
        .into_iter()
        .map(|file| LearnFile {
            path: file.path,
            text: file.text,
        })
        .collect()
}

/// Files that are taught and those that are held out.
pub fn split(files: Vec<LearnFile>) -> (Vec<LearnFile>, Vec<LearnFile>) {
    let (mut taught, mut held_out) = (Vec::new(), Vec::new());
    for (idx, file) in files.into_iter().enumerate() {
        if idx % HOLD_OUT == HOLD_OUT / 2 {
            held_out.push(file);
        } else {
            taught.push(file);
        }
    }
    (taught, held_out)
}

/// Teaches files one after another until at least so many pieces are taught; returns the number of files. `after` gets the memories and
/// the pieces of each file.
///
/// # Errors
/// Those of the network and of `after`.
pub fn teach(
    assistant: &Assistant,
    levels: &mut LevelMemories,
    files: &[LearnFile],
    max_pieces: u64,
    after: &mut dyn FnMut(&LevelMemories, usize) -> Result<(), AssistError>,
) -> Result<usize, AssistError> {
    let end = levels.tokens() + max_pieces;
    for (idx, file) in files.iter().enumerate() {
        if levels.tokens() >= end {
            return Ok(idx);
        }
        let pieces = assistant.teach(levels, file)?;
        after(levels, pieces)?;
    }
    Ok(files.len())
}

/// What the exits lose on the first pieces of some files.
///
/// # Errors
/// Those of the network.
pub fn losses(
    assistant: &Assistant,
    levels: &LevelMemories,
    files: &[LearnFile],
) -> Result<ExitLosses, AssistError> {
    let mut sum = ExitLosses::default();
    for file in files {
        if sum.pieces >= SCORED_PIECES {
            break;
        }
        sum.add(&assistant.exit_losses(levels, file)?);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_in_ten_is_held_out() {
        let file = |idx: usize| LearnFile {
            path: format!("{idx}.bsl"),
            text: String::new(),
        };
        let (taught, held_out) = split((0..40).map(file).collect());
        assert_eq!((taught.len(), held_out.len()), (36, 4));
        assert_eq!(held_out[0].path, "5.bsl");
    }
}
