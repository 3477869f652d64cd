// A UNIX datagram socket to read from, for which Node has no class: a child that a system's Python runs, or none.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';

const program = `
import socket, sys
server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
server.bind(sys.argv[1])
print('listening', flush=True)
if sys.argv[2] == 'unread': sys.stdin.read()
while True: print(server.recv(70000).decode('latin1'), end='', flush=True)
`;

/** Whether there is a Python that can run it. */
export const hasPython: boolean = spawnSync('python3', ['-c', '']).status === 0;

export class DatagramReader implements Disposable {
  readonly lines: string[] = [];
  readonly #child: ChildProcess;
  readonly #watchers: Set<() => void> = new Set();

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Binds a socket. `unread`: and reads nothing from it. */
  static async start(path: string, manner: 'read' | 'unread' = 'read'): Promise<DatagramReader> {
    const child = spawn('python3', ['-c', program, path, manner], { stdio: ['pipe', 'pipe', 'inherit'] });
    const reader = new DatagramReader(child);
    let isListening = false;
    createInterface(child.stdout).on('line', (line) => {
      if (isListening) reader.lines.push(line);
      isListening = true;
      for (const came of reader.#watchers) came();
    });
    await reader.#until(() => isListening);
    return reader;
  }

  /** Waits for so many lines. */
  async untilLines(count: number): Promise<readonly string[]> {
    await this.#until(() => this.lines.length >= count);
    return this.lines;
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL');
  }

  async #until(fits: () => boolean): Promise<void> {
    while (!fits()) {
      await new Promise<void>((came) => {
        const once = (): void => {
          this.#watchers.delete(once);
          came();
        };
        this.#watchers.add(once);
      });
    }
  }
}
