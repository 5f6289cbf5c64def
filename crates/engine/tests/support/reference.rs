//! The whole network from its definition: every position from all positions before it, in `f64`,
//! without chunks, caches or kernels.

use super::Tensors;
use nestor_engine::NetworkConfig;

type Rows = Vec<Vec<f64>>;

/// Logits of every exit for every token: `[exit][token][vocab]`.
pub fn logits(config: &NetworkConfig, tensors: &Tensors, tokens: &[u32]) -> Vec<Rows> {
    let get = |name: &str| -> Vec<f64> { tensors[name].1.iter().map(|x| f64::from(*x)).collect() };
    let embedding = get("embedding");
    let d = config.width;
    let mut x: Rows = tokens
        .iter()
        .map(|t| norm(&embedding[*t as usize * d..][..d], None, config.norm_eps))
        .collect();
    let mut exits = Vec::new();
    for s in 0..config.stages {
        for b in 0..config.blocks_per_stage {
            let block = |name: &str| get(&format!("stages.{s}.blocks.{b}.{name}"));
            let gain = block("mixer_norm");
            let u: Rows = x
                .iter()
                .map(|x| norm(x, Some(&gain), config.norm_eps))
                .collect();
            let mixed = if b + 1 == config.blocks_per_stage {
                attention(config, &u, &block)
            } else {
                delta(config, &u, &block)
            };
            add(&mut x, &mixed);
            let (gain, gate_up, down) =
                (block("ffn_norm"), block("ffn.gate_up"), block("ffn.down"));
            let inner: Rows = x
                .iter()
                .map(|x| {
                    let wide = product(&norm(x, Some(&gain), config.norm_eps), &gate_up);
                    let (gate, up) = wide.split_at(config.ffn);
                    let gated: Vec<f64> = gate.iter().zip(up).map(|(g, u)| silu(*g) * u).collect();
                    product(&gated, &down)
                })
                .collect();
            add(&mut x, &inner);
        }
        let exit = |name: &str| get(&format!("exits.{s}.{name}"));
        let (gain, down, up) = (exit("norm"), exit("down"), exit("up"));
        exits.push(
            x.iter()
                .map(|x| {
                    let mut e = norm(x, Some(&gain), config.norm_eps);
                    let adapted = product(&product(&e, &down), &up);
                    for (e, a) in e.iter_mut().zip(adapted) {
                        *e += a;
                    }
                    (0..config.vocab)
                        .map(|v| dot(&e, &embedding[v * d..][..d]))
                        .collect()
                })
                .collect(),
        );
    }
    exits
}

fn delta(config: &NetworkConfig, u: &Rows, weight: &dyn Fn(&str) -> Vec<f64>) -> Rows {
    let (heads, k_dim, v_dim) = (config.delta_heads, config.key_dim, config.value_dim);
    let channels = heads * (2 * k_dim + v_dim);
    let (in_proj, conv, out_proj) = (
        weight("mixer.in_proj"),
        weight("mixer.conv"),
        weight("mixer.out_proj"),
    );
    let (a_log, dt_bias, out_norm) = (
        weight("mixer.a_log"),
        weight("mixer.dt_bias"),
        weight("mixer.out_norm"),
    );
    let p: Rows = u.iter().map(|u| product(u, &in_proj)).collect();
    let mut states = vec![vec![vec![0.0; v_dim]; k_dim]; heads];
    let mut out = Vec::new();
    for t in 0..p.len() {
        let c: Vec<f64> = (0..channels)
            .map(|channel| {
                let mut sum = 0.0;
                for j in 0..config.conv {
                    if t + j + 1 >= config.conv {
                        sum += conv[j * channels + channel] * p[t + j + 1 - config.conv][channel];
                    }
                }
                silu(sum)
            })
            .collect();
        let mut concat = Vec::new();
        for h in 0..heads {
            let q = unit(&c[h * k_dim..][..k_dim]);
            let k = unit(&c[(heads + h) * k_dim..][..k_dim]);
            let v = &c[2 * heads * k_dim + h * v_dim..][..v_dim];
            let z = &p[t][channels + h * v_dim..][..v_dim];
            let a = p[t][channels + heads * v_dim + h];
            let b = p[t][channels + heads * v_dim + heads + h];
            let alpha = (-a_log[h].exp() * (1.0 + (a + dt_bias[h]).exp()).ln()).exp();
            let beta = 1.0 / (1.0 + (-b).exp());
            let state = &mut states[h];
            state.iter_mut().flatten().for_each(|s| *s *= alpha);
            for j in 0..v_dim {
                let read: f64 = (0..k_dim).map(|i| state[i][j] * k[i]).sum();
                let write = (v[j] - read) * beta;
                for i in 0..k_dim {
                    state[i][j] += k[i] * write;
                }
            }
            let o: Vec<f64> = (0..v_dim)
                .map(|j| (0..k_dim).map(|i| state[i][j] * q[i]).sum())
                .collect();
            let o = norm(&o, Some(&out_norm), config.norm_eps);
            concat.extend(o.iter().zip(z).map(|(o, z)| o * silu(*z)));
        }
        out.push(product(&concat, &out_proj));
    }
    out
}

fn attention(config: &NetworkConfig, u: &Rows, weight: &dyn Fn(&str) -> Vec<f64>) -> Rows {
    let (n_q, n_kv, width) = (config.query_heads, config.kv_heads, config.head_dim);
    let (qkv, out_proj) = (weight("mixer.qkv"), weight("mixer.out_proj"));
    let (q_norm, k_norm) = (weight("mixer.q_norm"), weight("mixer.k_norm"));
    let p: Rows = u.iter().map(|u| product(u, &qkv)).collect();
    let head = |t: usize, column: usize| &p[t][column * width..][..width];
    let mut out = Vec::new();
    for t in 0..p.len() {
        let mut concat = Vec::new();
        for h in 0..n_q {
            let kv = h * n_kv / n_q;
            let q = rotate(config, &norm(head(t, h), Some(&q_norm), config.norm_eps), t);
            let first = (t + 1).saturating_sub(config.window);
            let weights: Vec<f64> = (first..=t)
                .map(|s| {
                    let k = norm(head(s, n_q + kv), Some(&k_norm), config.norm_eps);
                    (dot(&q, &rotate(config, &k, s)) / (width as f64).sqrt()).exp()
                })
                .collect();
            let sum: f64 = weights.iter().sum();
            for i in 0..width {
                concat.push(
                    (first..=t)
                        .map(|s| weights[s - first] / sum * head(s, n_q + n_kv + kv)[i])
                        .sum(),
                );
            }
        }
        out.push(product(&concat, &out_proj));
    }
    out
}

fn rotate(config: &NetworkConfig, x: &[f64], position: usize) -> Vec<f64> {
    let half = x.len() / 2;
    let angle = |i: usize| position as f64 * config.rope_theta.powf(-(i as f64) / half as f64);
    let first = (0..half).map(|i| x[i] * angle(i).cos() - x[half + i] * angle(i).sin());
    let second = (0..half).map(|i| x[half + i] * angle(i).cos() + x[i] * angle(i).sin());
    first.chain(second).collect()
}

fn norm(x: &[f64], gain: Option<&[f64]>, eps: f64) -> Vec<f64> {
    let root = (dot(x, x) / x.len() as f64 + eps).sqrt();
    x.iter()
        .enumerate()
        .map(|(i, x)| x / root * gain.map_or(1.0, |g| g[i]))
        .collect()
}

fn unit(x: &[f64]) -> Vec<f64> {
    let root = (dot(x, x) + 1e-6).sqrt();
    x.iter().map(|x| x / root).collect()
}

fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `x W` for `W [in, out]`.
fn product(x: &[f64], w: &[f64]) -> Vec<f64> {
    let n = w.len() / x.len();
    (0..n)
        .map(|j| (0..x.len()).map(|i| x[i] * w[i * n + j]).sum())
        .collect()
}

fn add(x: &mut Rows, y: &Rows) {
    for (x, y) in x.iter_mut().flatten().zip(y.iter().flatten()) {
        *x += y;
    }
}
