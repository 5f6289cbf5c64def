"""Times llama.cpp on a network of random weights: argv[1] is the shape as JSON, the result goes to stdout as JSON."""

import json
import os
import statistics
import sys
import tempfile
import time

import gguf
import numpy as np
import llama_cpp

shape = json.loads(sys.argv[1])
d, layers, ffn, vocab = shape["width"], shape["layers"], shape["ffn"], shape["vocab"]
heads, kv_heads, quant = shape["heads"], shape["kv_heads"], shape["quant"]
kind = {"q8_0": gguf.GGMLQuantizationType.Q8_0, "q4_0": gguf.GGMLQuantizationType.Q4_0}[quant]
path = os.path.join(tempfile.mkdtemp(), "random.gguf")
rng = np.random.default_rng(1)

writer = gguf.GGUFWriter(path, "llama")
writer.add_context_length(2048)
writer.add_embedding_length(d)
writer.add_block_count(layers)
writer.add_feed_forward_length(ffn)
writer.add_head_count(heads)
writer.add_head_count_kv(kv_heads)
writer.add_layer_norm_rms_eps(1e-6)
writer.add_rope_dimension_count(d // heads)
writer.add_vocab_size(vocab)
writer.add_tokenizer_model("llama")
writer.add_token_list([b"<unk>", b"<s>", b"</s>"] + [f"t{i}".encode() for i in range(3, vocab)])
writer.add_token_scores([0.0] * vocab)
writer.add_token_types([2, 3, 3] + [1] * (vocab - 3))


def matrix(name, rows, columns):
    weights = rng.normal(0, columns**-0.5, (rows, columns)).astype(np.float32)
    writer.add_tensor(name, gguf.quants.quantize(weights, kind), raw_dtype=kind)


def norm(name):
    writer.add_tensor(name, np.ones(d, dtype=np.float32))


matrix("token_embd.weight", vocab, d)
for i in range(layers):
    norm(f"blk.{i}.attn_norm.weight")
    matrix(f"blk.{i}.attn_q.weight", d, d)
    matrix(f"blk.{i}.attn_k.weight", d // heads * kv_heads, d)
    matrix(f"blk.{i}.attn_v.weight", d // heads * kv_heads, d)
    matrix(f"blk.{i}.attn_output.weight", d, d)
    norm(f"blk.{i}.ffn_norm.weight")
    matrix(f"blk.{i}.ffn_gate.weight", ffn, d)
    matrix(f"blk.{i}.ffn_up.weight", ffn, d)
    matrix(f"blk.{i}.ffn_down.weight", d, ffn)
norm("output_norm.weight")
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()

found = {"version": llama_cpp.__version__, "bytes": os.path.getsize(path), "runs": []}
for threads in shape["threads"]:
    model = llama_cpp.Llama(
        path, n_ctx=1024, n_batch=512, n_ubatch=512, n_threads=threads, n_threads_batch=threads, verbose=False, logits_all=False
    )
    for context in (64, 512):
        tokens = [3 + i * 7919 % (vocab - 3) for i in range(context)]
        prefill, decode = [], []
        for _ in range(shape["repeats"]):
            model.reset()
            started = time.perf_counter()
            model.eval(tokens)
            prefill.append(time.perf_counter() - started)
            started = time.perf_counter()
            for i in range(32):
                model.eval([3 + i])
            decode.append((time.perf_counter() - started) / 32)
        found["runs"].append(
            {
                "threads": threads,
                "context": context,
                "prefill_tokens_per_s": context / statistics.median(prefill),
                "decode_ms": 1e3 * statistics.median(decode),
            }
        )
    del model
os.remove(path)
print(json.dumps(found))
