//! The file of a corpus model (`ngram.bin` of a model folder): columns of small numbers, compressed.

use std::path::Path;

use crate::corpus_ngram::{
    CorpusNgram, MAX_CORPUS_CONTEXT, Node, base_distribution, dequantise, quantise,
};
use crate::error::CacheError;
use crate::format::{Kind, Reader, name_file, put_varint, read_file, write_file};
use crate::ngram::check_vocab_size;

const KIND: Kind = Kind {
    magic: b"NestorNC",
    version: 1,
    what: "corpus n-gram",
};

/// Slow to write, as fast to read as the quick levels.
const COMPRESSION_LEVEL: i32 = 15;

impl CorpusNgram {
    /// The model as the bytes of its file.
    ///
    /// # Errors
    /// [`CacheError::Corrupt`] when compression fails.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CacheError> {
        let mut body = Vec::new();
        put_varint(&mut body, self.max_context as u64);
        put_varint(&mut body, self.contexts() as u64);
        put_varint(&mut body, self.entries() as u64);
        for &count in &self.unigrams {
            put_varint(&mut body, u64::from(count));
        }
        let spans = || self.nodes.windows(2);
        for pair in spans() {
            put_varint(&mut body, u64::from(pair[1].children - pair[0].children));
        }
        for pair in spans() {
            put_varint(&mut body, u64::from(pair[1].entries - pair[0].entries));
        }
        for pair in spans() {
            let children = pair[0].children as usize..pair[1].children as usize;
            put_deltas(
                &mut body,
                self.nodes[children].iter().map(|node| node.token),
            );
        }
        for pair in spans() {
            let entries = pair[0].entries as usize..pair[1].entries as usize;
            put_deltas(&mut body, self.entry_tokens[entries].iter().copied());
        }
        body.extend(self.entry_counts.iter().map(|&count| quantise(count)));
        let contexts = &self.nodes[..self.contexts()];
        body.extend(contexts.iter().map(|node| quantise(node.total - node.kept)));
        for index in 0..contexts.len() {
            let (start, end) = self.entry_range(index);
            body.push(quantise(contexts[index].distinct - (end - start) as u32));
        }
        KIND.frame(self.vocab_size, &body, COMPRESSION_LEVEL)
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// [`CacheError::Corrupt`] naming what is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CacheError> {
        let (vocab_size, body) = KIND.unframe(bytes)?;
        check_vocab_size(vocab_size)?;
        read_body(vocab_size, &body).map_err(|reason| KIND.corrupt(reason))
    }

    /// Writes the model to a file, whole or not at all.
    ///
    /// # Errors
    /// [`CacheError::Io`] naming the file.
    pub fn save(&self, path: &Path) -> Result<(), CacheError> {
        write_file(path, &self.to_bytes()?)
    }

    /// Reads a model from a file.
    ///
    /// # Errors
    /// [`CacheError::Io`] or [`CacheError::Corrupt`], both naming the file.
    pub fn load(path: &Path) -> Result<Self, CacheError> {
        Self::from_bytes(&read_file(path)?).map_err(|error| name_file(error, path))
    }
}

/// Sorted, different tokens as gaps.
fn put_deltas(body: &mut Vec<u8>, tokens: impl Iterator<Item = u16>) {
    let mut next = 0;
    for token in tokens {
        put_varint(body, u64::from(u32::from(token) - next));
        next = u32::from(token) + 1;
    }
}

fn read_deltas(
    reader: &mut Reader<'_>,
    count: usize,
    vocab_size: usize,
    mut take: impl FnMut(u16),
) -> Result<(), &'static str> {
    let mut next = 0u64;
    for _ in 0..count {
        let token = next + reader.varint().ok_or("it ends too early")?;
        if token >= vocab_size as u64 {
            return Err("a token is outside the vocabulary");
        }
        take(token as u16);
        next = token + 1;
    }
    Ok(())
}

fn read_body(vocab_size: usize, body: &[u8]) -> Result<CorpusNgram, &'static str> {
    const SHORT: &str = "it ends too early";
    let mut reader = Reader::new(body);
    let max_context = reader.varint().ok_or(SHORT)? as usize;
    let contexts = reader.varint().ok_or(SHORT)? as usize;
    let entries = reader.varint().ok_or(SHORT)? as usize;
    if max_context > MAX_CORPUS_CONTEXT || contexts == 0 {
        return Err("its header has impossible values");
    }
    // Every context and entry takes at least a byte: checked before anything of that size is allocated.
    if contexts.saturating_add(entries) > reader.remaining() {
        return Err(SHORT);
    }
    let unigrams: Vec<u32> = (0..vocab_size)
        .map(|_| reader.u32())
        .collect::<Option<_>>()
        .ok_or(SHORT)?;
    let blank = Node {
        token: 0,
        children: 0,
        entries: 0,
        total: 0,
        kept: 0,
        distinct: 0,
    };
    let mut nodes = vec![blank; contexts + 1];
    // The root is node 0, so the first child is node 1.
    read_spans(&mut reader, &mut nodes, 1, contexts, |node, at| {
        node.children = at
    })?;
    read_spans(&mut reader, &mut nodes, 0, entries, |node, at| {
        node.entries = at
    })?;
    for index in 0..contexts {
        let (start, end) = (
            nodes[index].children as usize,
            nodes[index + 1].children as usize,
        );
        if start <= index && start < end {
            return Err("a context comes before its parent");
        }
        let mut child = start;
        read_deltas(&mut reader, end - start, vocab_size, |token| {
            nodes[child].token = token;
            child += 1;
        })?;
    }
    let mut entry_tokens = Vec::with_capacity(entries);
    for index in 0..contexts {
        let count = (nodes[index + 1].entries - nodes[index].entries) as usize;
        read_deltas(&mut reader, count, vocab_size, |token| {
            entry_tokens.push(token)
        })?;
    }
    let codes = reader.take(entries).ok_or(SHORT)?;
    let entry_counts: Vec<u32> = codes.iter().map(|&code| dequantise(code)).collect();
    let rest_totals = reader.take(contexts).ok_or(SHORT)?;
    let rest_distinct = reader.take(contexts).ok_or(SHORT)?;
    if reader.remaining() > 0 {
        return Err("there are bytes after its end");
    }
    for index in 0..contexts {
        let range = nodes[index].entries as usize..nodes[index + 1].entries as usize;
        let kept: u64 = entry_counts[range.clone()]
            .iter()
            .map(|&count| u64::from(count))
            .sum();
        let total = kept + u64::from(dequantise(rest_totals[index]));
        nodes[index].total = u32::try_from(total).map_err(|_| "a count is too large")?;
        nodes[index].kept = kept as u32;
        nodes[index].distinct = dequantise(rest_distinct[index]).saturating_add(range.len() as u32);
    }
    Ok(CorpusNgram {
        vocab_size,
        max_context,
        base: base_distribution(&unigrams),
        unigrams,
        nodes,
        entry_tokens,
        entry_counts,
        long: None,
    })
}

/// Reads a length per context and stores where each one's range starts; the ranges must end at `end`.
fn read_spans(
    reader: &mut Reader<'_>,
    nodes: &mut [Node],
    start: usize,
    end: usize,
    set: impl Fn(&mut Node, u32),
) -> Result<(), &'static str> {
    let mut at = start as u64;
    let contexts = nodes.len() - 1;
    for node in &mut nodes[..contexts] {
        set(node, at as u32);
        at = at.saturating_add(reader.varint().ok_or("it ends too early")?);
        if at > end as u64 {
            return Err("its ranges pass its end");
        }
    }
    set(&mut nodes[contexts], at as u32);
    if at != end as u64 {
        return Err("its ranges do not reach its end");
    }
    Ok(())
}
