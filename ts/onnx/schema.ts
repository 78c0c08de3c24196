/**
 * ONNX's messages as a table (onnx.proto3, the parts that models use): field numbers, kinds and names. Fields that a file has beyond these are
 * skipped. Repeated numbers are typed arrays, everything else that repeats is a list.
 */

/** What a field holds. `ints` and `floats` repeat; `bytes` and `string` are single unless the field says so. */
export type Kind = "int" | "float" | "string" | "bytes" | "ints" | "int32s" | "floats" | "doubles" | "uint64s" | MessageName;

export interface Field {
  readonly name: string;
  readonly kind: Kind;
  readonly repeated?: boolean;
}

export type MessageName = keyof typeof MESSAGES;

const one = (name: string, kind: string): Field => ({ name, kind: kind as Kind });
const many = (name: string, kind: string): Field => ({ name, kind: kind as Kind, repeated: true });

export const MESSAGES = {
  Model: {
    1: one("ir_version", "int"),
    2: one("producer_name", "string"),
    3: one("producer_version", "string"),
    4: one("domain", "string"),
    5: one("model_version", "int"),
    6: one("doc_string", "string"),
    7: one("graph", "Graph"),
    8: many("opset_import", "OperatorSet"),
    14: many("metadata_props", "Entry"),
    25: many("functions", "Function"),
  },
  OperatorSet: { 1: one("domain", "string"), 2: one("version", "int") },
  Entry: { 1: one("key", "string"), 2: one("value", "string") },
  Graph: {
    1: many("node", "Node"),
    2: one("name", "string"),
    5: many("initializer", "Tensor"),
    10: one("doc_string", "string"),
    11: many("input", "ValueInfo"),
    12: many("output", "ValueInfo"),
    13: many("value_info", "ValueInfo"),
    15: many("sparse_initializer", "Sparse"),
  },
  Node: {
    1: many("input", "string"),
    2: many("output", "string"),
    3: one("name", "string"),
    4: one("op_type", "string"),
    5: many("attribute", "Attribute"),
    6: one("doc_string", "string"),
    7: one("domain", "string"),
  },
  Attribute: {
    1: one("name", "string"),
    2: one("f", "float"),
    3: one("i", "int"),
    4: one("s", "bytes"),
    5: one("t", "Tensor"),
    6: one("g", "Graph"),
    7: one("floats", "floats"),
    8: one("ints", "ints"),
    9: many("strings", "bytes"),
    10: many("tensors", "Tensor"),
    11: many("graphs", "Graph"),
    20: one("type", "int"),
    21: one("ref_attr_name", "string"),
  },
  Tensor: {
    1: one("dims", "ints"),
    2: one("data_type", "int"),
    4: one("float_data", "floats"),
    5: one("int32_data", "int32s"),
    6: many("string_data", "bytes"),
    7: one("int64_data", "ints"),
    8: one("name", "string"),
    9: one("raw_data", "bytes"),
    10: one("double_data", "doubles"),
    11: one("uint64_data", "uint64s"),
    13: many("external_data", "Entry"),
    14: one("data_location", "int"),
  },
  Sparse: { 1: one("values", "Tensor"), 2: one("indices", "Tensor"), 3: one("dims", "ints") },
  ValueInfo: { 1: one("name", "string"), 2: one("type", "Type"), 3: one("doc_string", "string") },
  Type: { 1: one("tensor_type", "TensorType") },
  TensorType: { 1: one("elem_type", "int"), 2: one("shape", "Shape") },
  Shape: { 1: many("dim", "Dimension") },
  Dimension: { 1: one("dim_value", "int"), 2: one("dim_param", "string") },
  Function: {
    1: one("name", "string"),
    4: many("input", "string"),
    5: many("output", "string"),
    6: many("attribute", "string"),
    7: many("node", "Node"),
    9: many("opset_import", "OperatorSet"),
    10: one("domain", "string"),
    11: many("attribute_proto", "Attribute"),
  },
} as const;

/** A field's numbers by name, for writing. */
export const NUMBERS: Readonly<Record<string, ReadonlyMap<string, readonly [number, Field]>>> = Object.fromEntries(
  Object.entries(MESSAGES).map(([message, fields]) => [
    message,
    new Map(Object.entries(fields as Record<string, Field>).map(([n, f]) => [f.name, [Number(n), f] as const])),
  ]),
);

// The same in types. A field that a file lacks is absent.

export interface Model {
  ir_version?: bigint;
  producer_name?: string;
  producer_version?: string;
  graph?: Graph;
  opset_import?: OperatorSet[];
  metadata_props?: Entry[];
  functions?: FunctionProto[];
}
export interface OperatorSet {
  domain?: string;
  version?: bigint;
}
export interface Entry {
  key?: string;
  value?: string;
}
export interface Graph {
  node?: Node[];
  name?: string;
  initializer?: TensorProto[];
  input?: ValueInfo[];
  output?: ValueInfo[];
  value_info?: ValueInfo[];
  sparse_initializer?: object[];
}
export interface Node {
  input?: string[];
  output?: string[];
  name?: string;
  op_type?: string;
  attribute?: Attribute[];
  domain?: string;
}
export interface Attribute {
  name?: string;
  f?: number;
  i?: bigint;
  s?: Uint8Array;
  t?: TensorProto;
  g?: Graph;
  floats?: Float32Array;
  ints?: BigInt64Array;
  strings?: Uint8Array[];
  type?: bigint;
  ref_attr_name?: string;
}
export interface TensorProto {
  dims?: BigInt64Array;
  data_type?: bigint;
  float_data?: Float32Array;
  int32_data?: Int32Array;
  string_data?: Uint8Array[];
  int64_data?: BigInt64Array;
  name?: string;
  raw_data?: Uint8Array;
  double_data?: Float64Array;
  uint64_data?: BigInt64Array;
  external_data?: Entry[];
  data_location?: bigint;
}
export interface ValueInfo {
  name?: string;
  type?: { tensor_type?: { elem_type?: bigint; shape?: { dim?: { dim_value?: bigint; dim_param?: string }[] } } };
}
export interface FunctionProto {
  name?: string;
  input?: string[];
  output?: string[];
  attribute?: string[];
  node?: Node[];
  domain?: string;
  attribute_proto?: Attribute[];
}
