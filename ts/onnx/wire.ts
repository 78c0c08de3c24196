/** Messages from and to bytes, by the table in schema.ts; the wire format itself is @bufbuild/protobuf's. */

import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { io, ValueError } from "../torch.ts";
import { MESSAGES, NUMBERS, type Field, type MessageName, type Model } from "./schema.ts";

/** Messages nest: graphs in attributes of nodes of graphs. No exporter goes near this. */
const MOST_NESTED = 64;

type Numbers = BigInt64Array | Int32Array | Float32Array | Float64Array;

/** A damaged file, or none of ONNX. */
export function bad(message: string): io.FileFormatError {
  return new io.FileFormatError(`onnx: ${message}`);
}

export function decodeModel(bytes: Uint8Array): Model {
  try {
    return decode(new BinaryReader(bytes), bytes.length, "Model", 0) as Model;
  } catch (error) {
    if (error instanceof ValueError) throw error;
    // The library's own: RangeError, Error.
    throw bad(`not a valid file: ${(error as Error).message}`);
  }
}

function decode(reader: BinaryReader, end: number, message: MessageName, depth: number): object {
  if (depth > MOST_NESTED) throw bad(`messages are nested more than ${MOST_NESTED} deep`);
  const fields = MESSAGES[message] as Readonly<Record<number, Field>>;
  const out: Record<string, unknown> = {};
  while (reader.pos < end) {
    const [number, wire] = reader.tag();
    const field = fields[number];
    if (field === undefined) {
      reader.skip(wire, number);
      continue;
    }
    const value = read(reader, wire, field, message, out[field.name], depth);
    if (field.repeated) ((out[field.name] ??= []) as unknown[]).push(value);
    else out[field.name] = value;
  }
  if (reader.pos !== end) throw bad(`a ${message} ends at byte ${reader.pos} instead of ${end}`);
  return out;
}

/** What a kind looks like on the wire where it does not come packed. */
const WIRE: Readonly<Record<string, WireType>> = {
  int: WireType.Varint,
  ints: WireType.Varint,
  int32s: WireType.Varint,
  uint64s: WireType.Varint,
  float: WireType.Bit32,
  floats: WireType.Bit32,
  doubles: WireType.Bit64,
};

function read(reader: BinaryReader, wire: WireType, field: Field, message: string, before: unknown, depth: number): unknown {
  const { kind, name } = field;
  const plain = WIRE[kind] ?? WireType.LengthDelimited;
  if (wire !== plain && !(wire === WireType.LengthDelimited && kind.endsWith("s") && kind !== "bytes")) {
    throw bad(`field ${name} of ${message} has wire type ${wire}`);
  }
  switch (kind) {
    case "int":
      return BigInt(reader.int64());
    case "float":
      return reader.float();
    case "string":
      return reader.string();
    case "bytes":
      return reader.bytes();
    case "ints":
    case "int32s":
    case "uint64s":
    case "floats":
    case "doubles":
      return appended(before as Numbers | undefined, numbers(reader, wire, kind));
    default: {
      const length = reader.uint32();
      const end = reader.pos + length;
      if (end > reader.len) throw bad(`a ${kind} of ${length} bytes ends beyond the file`);
      return decode(reader, end, kind, depth + 1);
    }
  }
}

/** Repeated numbers, packed or one. */
function numbers(reader: BinaryReader, wire: WireType, kind: string): Numbers {
  if (wire !== WireType.LengthDelimited) {
    if (kind === "floats") return Float32Array.of(reader.float());
    if (kind === "doubles") return Float64Array.of(reader.double());
    return kind === "int32s" ? Int32Array.of(reader.int32()) : BigInt64Array.of(BigInt(reader.int64()));
  }
  const bytes = reader.bytes();
  if (kind === "floats" || kind === "doubles") {
    const width = kind === "floats" ? 4 : 8;
    if (bytes.length % width !== 0) throw bad(`${bytes.length} bytes of packed numbers of ${width}`);
    const { buffer } = bytes.slice();
    return kind === "floats" ? new Float32Array(buffer) : new Float64Array(buffer);
  }
  // A number ends at each byte without the continuation bit.
  let count = 0;
  for (const byte of bytes) if (byte < 128) count++;
  const packed = new BinaryReader(bytes);
  const out = kind === "int32s" ? new Int32Array(count) : new BigInt64Array(count);
  for (let i = 0; i < count; i++) out[i] = kind === "int32s" ? packed.int32() : BigInt(packed.int64());
  if (packed.pos !== bytes.length) throw bad("a list of numbers ends within one");
  return out;
}

/** Numbers that come one by one are kept in an array that grows by doubling. */
const rooms = new WeakMap<ArrayBufferLike, number>();

function appended(before: Numbers | undefined, more: Numbers): Numbers {
  if (before === undefined) return more;
  type Make = new (buffer: ArrayBuffer, offset?: number, length?: number) => Numbers;
  const Make = before.constructor as Make;
  const width = before.BYTES_PER_ELEMENT;
  const length = before.length + more.length;
  let { buffer } = before;
  if (!rooms.has(buffer) || buffer.byteLength < length * width) {
    const wider = new ArrayBuffer(Math.max(2 * length, 8) * width);
    new Make(wider, 0, before.length).set(before as never);
    rooms.set(wider, wider.byteLength);
    buffer = wider;
  }
  const out = new Make(buffer as ArrayBuffer, 0, length);
  out.set(more as never, before.length);
  return out;
}

/** The bytes of a model. */
export function encodeModel(model: Model): Uint8Array<ArrayBuffer> {
  const writer = new BinaryWriter();
  encode(writer, "Model", model as Record<string, unknown>);
  return writer.finish();
}

function encode(writer: BinaryWriter, message: string, values: Record<string, unknown>): void {
  const fields = NUMBERS[message]!;
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined) continue;
    const [number, field] = fields.get(name)!;
    for (const x of field.repeated ? (value as unknown[]) : [value]) write(writer, number, field.kind, x);
  }
}

function write(writer: BinaryWriter, number: number, kind: string, value: unknown): void {
  switch (kind) {
    case "int":
      writer.tag(number, WireType.Varint).int64(value as bigint);
      return;
    case "float":
      writer.tag(number, WireType.Bit32).float(value as number);
      return;
    case "string":
      writer.tag(number, WireType.LengthDelimited).string(value as string);
      return;
    case "bytes":
      writer.tag(number, WireType.LengthDelimited).bytes(value as Uint8Array);
      return;
    case "ints":
      writer.tag(number, WireType.LengthDelimited).fork();
      for (const x of value as BigInt64Array) writer.int64(x);
      writer.join();
      return;
    case "floats":
      writer.tag(number, WireType.LengthDelimited).fork();
      for (const x of value as Float32Array) writer.float(x);
      writer.join();
      return;
    default:
      writer.tag(number, WireType.LengthDelimited).fork();
      encode(writer, kind, value as Record<string, unknown>);
      writer.join();
  }
}
