// The two 16-bit floating-point formats of weight files, turned into f32.
//
// Always: exact, because every value of either format is an f32 (a NaN stays a NaN, its payload may change).
// Not: the other direction, and not arithmetic in 16 bits.

/** IEEE 754 binary16 bits as f32: a sign, 5 bits of exponent with bias 15, 10 bits of fraction. */
export function float16ToFloat32(bits: Uint16Array): Float32Array {
  return Float32Array.from(bits, (half) => {
    const sign = half >= 0x8000 ? -1 : 1;
    const exponent = (half >>> 10) & 31;
    const fraction = half & 1023;
    if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
    if (exponent === 0) return (sign * fraction) / 16777216;
    return (sign * (1024 + fraction) * (1 << exponent)) / 33554432;
  });
}

/** bfloat16 bits as f32: they are its upper half. */
export function bfloat16ToFloat32(bits: Uint16Array): Float32Array {
  return new Float32Array(Uint32Array.from(bits, (half) => half * 65536).buffer);
}
