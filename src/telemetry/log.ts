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
};

/** What waits for a reader of standard output, at most; beyond it lines are dropped. */
const maxWaitingBytes = 4 << 20;
/** Lines that nobody waits for are written in larger pieces, but not later than this. */
const bulkBytes = 4096;
const bulkFlushMs = 1_000;
/** Each try takes 100 ms. */
const maxTriesAtTheEnd = 10;

/**
 * Standard output as JSON lines. Never waits: when the reader is slower than the writer (a full pipe would stop the event
 * loop, and with it the traffic), lines are dropped and counted by `onDrop`.
 */
export function createLog(level: LogLevel, fields: LogFields, onDrop: () => void): Log {
  const stream = openOutput(0, onDrop);
  return wrap(newLogger(level, fields, stream));
}

/** The same for a log that is written per request: fewer, larger writes. */
export function createBulkLog(fields: LogFields, onDrop: () => void): Log {
  const stream = openOutput(bulkBytes, onDrop);
  const timer = setInterval(() => stream.flush(), bulkFlushMs);
  timer.unref();
  return wrap(newLogger('info', fields, stream));
}

function openOutput(minLength: number, onDrop: () => void): ReturnType<typeof destination> {
  let ending = false;
  let triesAtTheEnd = 0;
  const stream = destination({
    fd: 1,
    sync: false,
    minLength,
    maxLength: maxWaitingBytes,
    // A pipe that stays full must not keep the process from ending.
    retryEAGAIN: () => !ending || ++triesAtTheEnd < maxTriesAtTheEnd,
  });
  stream.on('drop', onDrop);
  stream.on('error', onDrop);
  process.once('exit', () => {
    ending = true;
    try {
      stream.flushSync();
    } catch {
      // Standard output is gone or full; there is nobody left to tell.
    }
  });
  return stream;
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

function wrap(logger: Logger): Log {
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    with: (fields) => wrap(logger.child(fields)),
  };
}
