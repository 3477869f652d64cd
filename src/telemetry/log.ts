// The only door to pino: field names, levels and the destination in one place.

import { type DestinationStream, destination, type Logger, pino } from 'pino';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';
export type LogFields = Readonly<Record<string, unknown>>;

/** What the rest of the house writes to. Fields first, then a fixed message that people can search for. */
export type Log = {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  /** A log whose every line carries these fields too. */
  with(fields: LogFields): Log;
  /** Writes out what is buffered: to be called before the process ends. */
  flush(): void;
};

/** Standard output as JSON lines. Written at once: a line that explains a crash must not be lost with it. */
export function createLog(level: LogLevel, fields: LogFields): Log {
  const stream = destination({ fd: 1, sync: true });
  return wrap(newLogger(level, fields, stream), stream);
}

/**
 * A log for lines that nobody may wait for, such as the access log: buffered, and when the reader is slower than the
 * traffic, lines are dropped and counted by `onDrop`.
 */
export function createBufferedLog(fields: LogFields, onDrop: () => void): Log {
  const stream = destination({ fd: 1, sync: false, minLength: 4096, maxLength: 4 << 20 });
  stream.on('drop', onDrop);
  stream.on('error', onDrop);
  const timer = setInterval(() => stream.flush(), 1000);
  timer.unref();
  return wrap(newLogger('info', fields, stream), stream);
}

function newLogger(level: LogLevel, fields: LogFields, stream: DestinationStream): Logger {
  return pino(
    {
      level,
      base: fields,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    stream,
  );
}

function wrap(logger: Logger, stream: ReturnType<typeof destination>): Log {
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    with: (fields) => wrap(logger.child(fields), stream),
    flush: () => {
      try {
        stream.flushSync();
      } catch {
        // Standard output is gone; there is nobody left to tell.
      }
    },
  };
}
