//! Matrix memories, by the delta rule and by HOPE's; the head of `main` has the rules.

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add_scaled(sum: &mut [f32], factor: f32, x: &[f32]) {
    sum.iter_mut()
        .zip(x)
        .for_each(|(sum, x)| *sum += factor * x);
}

/// A matrix that is added to the rows of an exit; see the head of the file.
pub struct MatrixMemory {
    /// `[d, d]`, by rows of what is added.
    m: Vec<f32>,
    rate: f32,
    gain: f32,
    by_hope: bool,
}

impl MatrixMemory {
    pub fn new(width: usize, rate: f32, gain: f32, by_hope: bool) -> Self {
        Self {
            m: vec![0.0; width * width],
            rate,
            gain,
            by_hope,
        }
    }

    fn key(row: &[f32]) -> Vec<f32> {
        let length = dot(row, row).sqrt().max(1e-6);
        row.iter().map(|x| x / length).collect()
    }

    fn of(m: &[f32], key: &[f32]) -> Vec<f32> {
        m.chunks_exact(key.len()).map(|row| dot(row, key)).collect()
    }

    pub fn forward(&self, rows: &[f32], width: usize) -> Vec<f32> {
        let mut out = rows.to_vec();
        for row in out.chunks_exact_mut(width) {
            let added = Self::of(&self.m, &Self::key(row));
            row.iter_mut().zip(added).for_each(|(x, added)| *x += added);
        }
        out
    }

    pub fn learn(
        &mut self,
        rows: &[f32],
        targets: &[u32],
        probs: &[f32],
        head: &[f32],
        width: usize,
    ) {
        let begun = self.m.clone();
        let vocab = head.len() / width;
        let chunk = rows.chunks_exact(width).zip(probs.chunks_exact(vocab));
        for ((row, probs), target) in chunk.zip(targets) {
            let key = Self::key(row);
            let mut value = head[*target as usize * width..][..width].to_vec();
            for (token, p) in probs.iter().enumerate().filter(|(_, p)| **p >= 0.003) {
                add_scaled(&mut value, -p, &head[token * width..][..width]);
            }
            value.iter_mut().for_each(|x| *x *= self.gain);
            if self.by_hope {
                add_scaled(&mut value, -1.0, &Self::of(&begun, &key));
            }
            add_scaled(&mut value, -1.0, &Self::of(&self.m, &key));
            for (row, value) in self.m.chunks_exact_mut(width).zip(value) {
                add_scaled(row, self.rate * value, &key);
            }
        }
    }
}
