// Which variant a unit gets, for those who do not use Python: node docs/reference/assignment.mjs < schemas/examples/assignment.json
// BLAKE2b (RFC 7693) with a digest of 8 bytes, over salt, the byte 0x1f, and unit, in UTF-8.
import { readFileSync } from "node:fs";

const BITS = (1n << 64n) - 1n;
const IV = [
  0x6a09e667f3bcc908n, 0xbb67ae8584caa73bn, 0x3c6ef372fe94f82bn, 0xa54ff53a5f1d36f1n,
  0x510e527fade682d1n, 0x9b05688c2b3e6c1fn, 0x1f83d9abfb41bd6bn, 0x5be0cd19137e2179n,
];
const SIGMA = [
  "0123456789abcdef", "ea489fd61c02b753", "b8c052fdae367194", "7931dcbe265a40f8", "905724afe1bc683d",
  "2c6a0b834d75fe19", "c51fed4a0763928b", "db7ec13950f4862a", "6fe9b308c2d714a5", "a2847615fb9e3cd0",
].map((row) => [...row].map((digit) => parseInt(digit, 16)));
const G = [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15],
           [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]];
const turn = (x, n) => ((x >> BigInt(n)) | (x << BigInt(64 - n))) & BITS;

function compress(h, block, count, last) {
  const m = Array.from({ length: 16 }, (_, i) => block.readBigUInt64LE(8 * i));
  const v = [...h, ...IV];
  v[12] ^= count;
  if (last) v[14] ^= BITS;
  for (let round = 0; round < 12; round++) {
    const s = SIGMA[round % 10];
    G.forEach(([a, b, c, d], i) => {
      v[a] = (v[a] + v[b] + m[s[2 * i]]) & BITS; v[d] = turn(v[d] ^ v[a], 32);
      v[c] = (v[c] + v[d]) & BITS; v[b] = turn(v[b] ^ v[c], 24);
      v[a] = (v[a] + v[b] + m[s[2 * i + 1]]) & BITS; v[d] = turn(v[d] ^ v[a], 16);
      v[c] = (v[c] + v[d]) & BITS; v[b] = turn(v[b] ^ v[c], 63);
    });
  }
  return h.map((x, i) => x ^ v[i] ^ v[i + 8]);
}

export function bucket(salt, unit) {
  const data = Buffer.from(`${salt}\x1f${unit}`, "utf8");
  let h = [...IV];
  h[0] ^= 0x01010000n ^ 8n; // no key, 8 bytes
  const blocks = Math.max(1, Math.ceil(data.length / 128));
  for (let i = 0; i < blocks; i++) {
    const block = Buffer.alloc(128);
    data.copy(block, 0, 128 * i, 128 * (i + 1));
    const last = i === blocks - 1;
    h = compress(h, block, BigInt(last ? data.length : 128 * (i + 1)), last);
  }
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(h[0]);
  return bytes.readBigUInt64BE();
}

export function assign({ salt, name, variants, ring }, unit) {
  const place = bucket(salt || name, unit);
  if (ring?.length) return ring.filter(([start]) => BigInt(`0x${start}`) <= place).at(-1)[1];
  const total = variants.reduce((sum, each) => sum + BigInt(each.weight), 0n);
  let sum = 0n;
  for (const variant of variants) {
    sum += BigInt(variant.weight);
    if (place < (sum << 64n) / total) return variant.name;
  }
}

const wanted = JSON.parse(readFileSync(0, "utf8"));
for (const { salt, unit, place } of wanted.places) {
  if (bucket(salt, unit) !== BigInt(place)) throw new Error(`${salt} ${unit}: ${bucket(salt, unit)}, not ${place}`);
}
let count = wanted.places.length;
for (const { experiment, variants } of wanted.assignments) {
  for (const [unit, variant] of Object.entries(variants)) {
    if (assign(experiment, unit) !== variant) throw new Error(`${experiment.name} ${unit}: ${assign(experiment, unit)}, not ${variant}`);
    count += 1;
  }
}
console.log(`${count} agree`);
