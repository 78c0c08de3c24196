/** The worker, seen from the page. */

import type { FromWorker, ToWorker } from "./protocol.ts";

export interface ClientEvents {
  message(message: FromWorker): void;
  /** The worker could not start or died. It can be started anew. */
  crashed(reason: string): void;
}

export class Client {
  readonly #events: ClientEvents;
  #worker: Worker | undefined;

  constructor(events: ClientEvents) {
    this.#events = events;
    this.restart();
  }

  /** A fresh worker; what the old one had trained is lost. */
  restart(): void {
    this.#worker?.terminate();
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "kindling page" });
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.#events.message(data);
    worker.onerror = (event) => {
      event.preventDefault();
      this.#events.crashed(event.message || "the worker could not be loaded");
    };
    this.#worker = worker;
  }

  post(message: ToWorker): void {
    this.#worker?.postMessage(message);
  }
}
