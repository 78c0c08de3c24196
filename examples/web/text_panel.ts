/** The panel in which the GPT writes. */

import { byId, create, speed } from "./dom.ts";
import type { ToWorker } from "./protocol.ts";

export class TextPanel {
  readonly #text = byId("text", HTMLPreElement);
  readonly #write = byId("write", HTMLButtonElement);
  readonly #status = byId("sample-status", HTMLElement);
  #writing = false;
  #characters = 0;

  constructor(post: (message: ToWorker) => void) {
    const temperature = byId("temperature", HTMLInputElement);
    const shown = byId("temperature-value", HTMLOutputElement);
    temperature.addEventListener("input", () => (shown.value = temperature.valueAsNumber.toFixed(1)));
    byId("sampling", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#writing) return post({ type: "stop-sampling" });
      const prompt = byId("prompt", HTMLInputElement).value || "\n";
      const length = byId("sample-length", HTMLInputElement).valueAsNumber;
      this.#begin(prompt);
      post({ type: "sample", prompt, length, temperature: temperature.valueAsNumber });
    });
  }

  append(text: string): void {
    const follow = this.#text.scrollTop + this.#text.clientHeight >= this.#text.scrollHeight - 24;
    this.#text.append(text);
    this.#characters += text.length;
    if (follow) this.#text.scrollTop = this.#text.scrollHeight;
  }

  finished(seconds: number): void {
    if (!this.#writing) return;
    this.#end(this.#characters === 0 ? "" : `${this.#characters} characters, ${speed(this.#characters / seconds)} per second`);
  }

  failed(message: string): void {
    this.#end(`It cannot write: ${message}`);
  }

  /** The worker is gone. */
  reset(): void {
    if (this.#writing) this.#end("");
  }

  #begin(prompt: string): void {
    this.#writing = true;
    this.#characters = 0;
    this.#text.replaceChildren(create("span", "prompt", prompt));
    this.#text.classList.add("writing");
    this.#write.textContent = "Stop";
    this.#status.textContent = "Writing …";
  }
  #end(status: string): void {
    this.#writing = false;
    this.#text.classList.remove("writing");
    this.#write.textContent = "Write";
    this.#status.textContent = status;
  }
}
