import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ApiError } from '#lib/std/errors.ts';
import { UsageError } from '#lib/std/main.ts';
import { connect } from '../session.ts';
import { connectionFlags, connectionHelp, exit, parseFlags, type Verb } from '../verb.ts';

export const version: Verb = {
  name: 'version',
  summary: 'Show versions of this program and of the server',
  help: `Usage: factoryctl version [flags]

Flags:
${connectionHelp}`,
  async run(args, out) {
    const { values } = parseFlags('version', args, connectionFlags);
    const own = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')) as {
      version: string;
    };
    out.line(`factoryctl  ${own.version}`);
    try {
      const session = connect(values);
      const server = await session.request<{ gitVersion: string }>('GET', '/version');
      out.line(`server      ${server.gitVersion}  ${session.endpoint.server}`);
    } catch (error) {
      if (!(error instanceof ApiError || error instanceof UsageError)) throw error;
      out.line(`server      none: ${error.message}`);
    }
    return exit.ok;
  },
};
