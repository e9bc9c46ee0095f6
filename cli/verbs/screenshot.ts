import { writeFileSync } from 'node:fs';
import { UsageError } from '#lib/std/main.ts';
import { machineNamed, servicePath } from '../machine.ts';
import { connect } from '../session.ts';
import { connectionFlags, connectionHelp, exit, parseFlags, type Verb } from '../verb.ts';

export const screenshot: Verb = {
  name: 'screenshot',
  summary: "Take a picture of a machine's screen",
  help: `Usage: factoryctl screenshot NAME [flags]

Examples:
  factoryctl screenshot real-0 -n studio-a
  factoryctl screenshot real-0 -n studio-a -o - | file -

Flags:
  -o, --output FILE      Where the PNG goes, - for standard output; NAME.png if left out
${connectionHelp}`,
  async run(args, out) {
    const options = { ...connectionFlags, output: { type: 'string', short: 'o' } } as const;
    const { values, positionals } = parseFlags('screenshot', args, options);
    const name = machineNamed(positionals, 'screenshot');
    const file = values.output ?? `${name}.png`;
    if (file === '-' && process.stdout.isTTY)
      throw new UsageError('A picture cannot be shown in a terminal: give -o FILE, or pipe it on.');
    const session = connect(values);
    const picture = Buffer.concat(await Array.fromAsync(session.bytes(servicePath(session, name, 'screenshot'))));
    if (file === '-') {
      await new Promise((resolve) => process.stdout.write(picture, resolve));
    } else {
      writeFileSync(file, picture);
      out.line(`${file}: ${picture.readUInt32BE(16)} x ${picture.readUInt32BE(20)} pixels`);
    }
    return exit.ok;
  },
};
