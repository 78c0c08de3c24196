/** The PyTorch of this machine, as a process that takes turns with us: one line of JSON asks, one answers. */

import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Sample } from "./clock.ts";

export interface PeerInfo {
  readonly torch: string;
  readonly cuda: string | null;
  readonly cudnn: number | null;
  readonly device: string;
  readonly triton: string | null;
}

export interface PeerPrepared {
  /** Milliseconds of the first run, compiling included. */
  readonly first: number;
  readonly fingerprint?: readonly number[];
  readonly losses?: readonly number[];
  /** Of the GPU's memory, while it was prepared. */
  readonly peak_bytes?: number;
}

/** JSON has no NaN: it comes as null. */
const numbers = (list: readonly (number | null)[]): number[] => list.map((x) => x ?? NaN);

/** Why there is nothing to compare with. */
export class NoPeer extends Error {}

export class Peer {
  #failed: Error | null = null;
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  #info: PeerInfo | null = null;

  private constructor(process: ChildProcessWithoutNullStreams) {
    this.#process = process;
    process.stderr.resume();
    process.stdin.on("error", () => {});
    this.#lines = createInterface({ input: process.stdout })[Symbol.asyncIterator]();
  }

  get info(): PeerInfo {
    return this.#info!;
  }

  /** Throws NoPeer. */
  static async start(device: string): Promise<Peer> {
    const python = process.env.KINDLING_PYTHON ?? "python3";
    const script = fileURLToPath(new URL("./pytorch.py", import.meta.url));
    const child = spawn(python, ["-u", script, device], { stdio: "pipe" });
    let complaint = "";
    child.on("error", (error) => (complaint += error.message));
    child.stderr.on("data", (chunk: Buffer) => (complaint = (complaint + chunk.toString()).slice(-2000)));
    const peer = new Peer(child);
    try {
      peer.#info = (await peer.ask({ op: "info" }, 120)) as unknown as PeerInfo;
      return peer;
    } catch (error) {
      peer.stop();
      const why = complaint.trim().split("\n").at(-1);
      throw new NoPeer(why || (error instanceof Error ? error.message : String(error)));
    }
  }

  async prepare(id: string, spec: object, variant: string, seconds: number): Promise<PeerPrepared> {
    const answer = (await this.ask({ op: "prepare", id, spec, variant }, seconds)) as unknown as PeerPrepared;
    const { fingerprint, losses } = answer;
    return { ...answer, ...(fingerprint && { fingerprint: numbers(fingerprint) }), ...(losses && { losses: numbers(losses) }) };
  }

  async sample(id: string, atLeast: number, mostCalls: number): Promise<Sample> {
    return (await this.ask({ op: "sample", id, at_least: atLeast, most_calls: mostCalls }, 120)) as unknown as Sample;
  }

  /** Gives memory back to the driver, and what it knows of `id`, too. */
  async drop(id: string | null): Promise<void> {
    await this.ask({ op: "drop", id }, 60);
  }

  async ask(request: object, seconds: number): Promise<Record<string, unknown>> {
    if (this.#failed !== null) throw this.#failed;
    this.#process.stdin.write(`${JSON.stringify(request)}\n`);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(this.#fail(`PyTorch took longer than ${seconds} s and was stopped`)), seconds * 1000);
    });
    try {
      const { done, value } = await Promise.race([this.#lines.next(), late]);
      if (done === true) throw this.#fail("PyTorch's process ended");
      const answer = JSON.parse(value) as Record<string, unknown>;
      if (typeof answer.error === "string") throw new Error(answer.error);
      return answer;
    } finally {
      clearTimeout(timer);
    }
  }

  #fail(why: string): Error {
    this.#failed = new Error(why);
    this.#process.kill("SIGKILL");
    return this.#failed;
  }

  stop(): void {
    this.#process.stdin.end();
    this.#process.kill();
  }
}
