// Picks the command, or the role that the supervisor has forked this process for. Everything is loaded when it is needed:
// a worker must not carry what only the controller uses.

import { version } from './version.ts';

const usage = `headgate: an ingress router for Kubernetes and OpenShift Routes

usage: headgate COMMAND [options]

  serve         serve Routes                         (headgate serve --help)
  demo          serve demo Routes with demo backends and certificates of its own
  explain       ask the running router what a request would get, and why
  clear-status  take what a router wrote out of the status of all Routes
  version       versions of the router and of its runtime
  help          this text
`;

const [command, ...args] = process.argv.slice(2);

// Who reads no further (`| head`) has what he wanted, and the demo's router serves others. Roles leave the stream unopened.
if (command !== 'worker' && command !== 'controller') {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

switch (command) {
  case 'worker':
    (await import('./proxy/worker.ts')).runWorker();
    break;
  case 'controller':
    (await import('./controller-process.ts')).runController();
    break;
  case 'serve':
    process.exit(await (await import('./cli/serve.ts')).serve(args));
    break;
  case 'demo':
    process.exit(await (await import('./cli/demo.ts')).demo(args));
    break;
  case 'explain':
    process.exitCode = await (await import('./cli/explain.ts')).explainCommand(args);
    break;
  case 'clear-status':
    process.exitCode = await (await import('./cli/clear-status.ts')).clearStatus(args);
    break;
  case 'version':
  case '--version':
    process.stdout.write(`headgate ${version()}, Node ${process.version}, OpenSSL ${process.versions.openssl}\n`);
    break;
  case 'help':
  case '--help':
  case '-h':
    process.stdout.write(usage);
    break;
  default:
    process.stderr.write(command === undefined ? usage : `headgate: no such command: ${command}\n\n${usage}`);
    process.exitCode = 2;
}
