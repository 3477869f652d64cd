// Reads a Dockerfile, as far as ours goes: no heredocs, no escapes, no variables in paths.

/** One instruction: its flags (`--from`), and its arguments, from either form. */
export type Instruction = {
  readonly name: string;
  readonly flags: Readonly<Record<string, string>>;
  readonly args: readonly string[];
  readonly form: 'exec' | 'shell';
};

/** What stands between one FROM and the next. */
export type Stage = { readonly base: string; readonly name: string; readonly instructions: readonly Instruction[] };

/** The stages of a Dockerfile; the last is the image. */
export function stagesOf(dockerfile: string): readonly Stage[] {
  const stages: { base: string; name: string; instructions: Instruction[] }[] = [];
  const lines = dockerfile
    .replace(/^\s*#.*\n/gm, '')
    .replace(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '');
  for (const line of lines) {
    const instruction = instructionOf(line.trim());
    const [base = '', , name = ''] = instruction.args;
    if (instruction.name === 'FROM') stages.push({ base, name, instructions: [] });
    else stages.at(-1)?.instructions.push(instruction);
  }
  return stages;
}

function instructionOf(line: string): Instruction {
  const [name = '', ...words] = line.split(/\s+/);
  const flags: Record<string, string> = {};
  while (words[0]?.startsWith('--') === true) {
    const [flag = '', value = ''] = (words.shift() ?? '').split('=');
    flags[flag] = value;
  }
  const rest = words.join(' ');
  return rest.startsWith('[')
    ? { name, flags, args: JSON.parse(rest), form: 'exec' }
    : { name, flags, args: rest.match(/(?:"[^"]*"|\S)+/g) ?? [], form: 'shell' };
}

/** The instructions of one name. */
export function instructionsOf(stage: Stage | undefined, name: string): readonly Instruction[] {
  return stage?.instructions.filter((instruction) => instruction.name === name) ?? [];
}
