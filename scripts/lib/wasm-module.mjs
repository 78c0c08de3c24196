/** Reads of a WebAssembly binary just what the build checks: imports, exports, constant globals, active data segments. */

export function readModule(bytes) {
  let position = 8;
  const byte = () => bytes[position++];
  const unsigned = () => {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      const next = byte();
      value += (next & 127) * shift;
      if (next < 128) return value;
    }
  };
  const signed = () => {
    let value = 0;
    for (let shift = 0; ;) {
      const next = byte();
      value |= (next & 127) << shift;
      shift += 7;
      if (next < 128) return shift < 32 && next & 64 ? value | (-1 << shift) : value;
    }
  };
  const text = () => {
    const length = unsigned();
    position += length;
    return Buffer.from(bytes.subarray(position - length, position)).toString();
  };
  /** A constant expression; the value where it is an i32.const, undefined otherwise. */
  const constant = () => {
    const opcode = byte();
    let value;
    if (opcode === 0x41) value = signed();
    else if (opcode === 0x42) while (byte() >= 128);
    else if (opcode === 0x43) position += 4;
    else if (opcode === 0x44) position += 8;
    else if (opcode === 0x23) unsigned();
    else if (opcode === 0xfd) position += unsigned() === 12 ? 16 : 0;
    else throw new Error(`constant expression with opcode 0x${opcode.toString(16)}`);
    if (byte() !== 0x0b) throw new Error("constant expression with more than one instruction");
    return value;
  };
  const limits = () => {
    const flags = byte();
    const minimum = unsigned();
    return { shared: (flags & 2) !== 0, minimum, maximum: flags & 1 ? unsigned() : undefined };
  };

  const imports = [];
  const exports = [];
  const globals = [];
  const data = [];
  while (position < bytes.length) {
    const section = byte();
    const end = unsigned() + position;
    if (section === 2) {
      for (let left = unsigned(); left > 0; left--) {
        const entry = { name: `${text()}.${text()}`, kind: byte() };
        if (entry.kind === 0) unsigned();
        else if (entry.kind === 2) entry.memory = limits();
        else throw new Error(`${entry.name} is neither a function nor a memory`);
        imports.push(entry);
      }
    } else if (section === 6) {
      for (let left = unsigned(); left > 0; left--) globals.push({ type: byte(), mutable: byte() === 1, value: constant() });
    } else if (section === 7) {
      for (let left = unsigned(); left > 0; left--) exports.push({ name: text(), kind: byte(), index: unsigned() });
    } else if (section === 11) {
      for (let left = unsigned(); left > 0; left--) {
        const mode = unsigned();
        if (mode === 2) unsigned();
        const offset = mode === 1 ? undefined : constant();
        const length = unsigned();
        position += length;
        data.push({ offset, length });
      }
    }
    position = end;
  }
  /** The exported global of that name, or undefined. */
  const global = (name) => {
    const found = exports.find((entry) => entry.kind === 3 && entry.name === name);
    return found && globals[found.index];
  };
  return { imports, exports, data, global };
}
