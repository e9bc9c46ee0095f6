/** upload: makes an Image of a file of this machine. It is sent to the API server, which passes it on to a host of each cluster. */
import { Image } from '#lib/api/generated/image.ts';
import { type UploadState, uploadService } from '#lib/api/host-endpoint.ts';
import { annotations } from '#lib/api/names.ts';
import { systemClock, timestamp } from '#lib/std/clock.ts';
import { ApiError, isCode } from '#lib/std/errors.ts';
import { UsageError } from '#lib/std/main.ts';
import { systemRandom } from '#lib/std/random.ts';
import type { Output } from '../output.ts';
import { connect, type Session } from '../session.ts';
import { progressText, Rate } from '../upload/figures.ts';
import { type LocalFile, openLocalFile } from '../upload/local-file.ts';
import { sendFile } from '../upload/send-file.ts';
import { connectionFlags, connectionHelp, exit, parseFlags, type Verb } from '../verb.ts';
import { readTimeout } from './wait.ts';

const lookEveryMs = 500;
/** Until an Image has a row for each cluster, and a host in it. */
const preparedMs = 120_000;
const osTypes: readonly string[] = ['Linux', 'Windows', 'Other'];

export const upload: Verb = {
  name: 'upload',
  summary: 'Make an image of a file on this machine',
  help: `Usage: factoryctl upload image NAME --file PATH [flags]

Examples:
  factoryctl upload image debian-12 -n studio-a --file debian-12.qcow2
  factoryctl upload image win2022-03 -n studio-a --file win2022.vhdx --os-type Windows --family win2022 --cluster lab

Flags:
      --file PATH        A disk: qcow2, raw, vmdk, vhd or vhdx, perhaps packed by gz, xz or zst
      --cluster NAME     Only to this cluster; to each, one after the other, if left out
      --os-type TYPE     Linux (unless told), Windows or Other, of an image that is not there yet
      --family NAME      Family of an image that is not there yet
      --restart          Throw away what was uploaded of another file before
      --no-wait          Do not wait until hosts have checked and converted it
      --timeout TIME     Wait for that so long (2h)
${connectionHelp}

Makes the Image, with the file's sha256 as its checksum, if there is none of that name; else it must have source.upload. What breaks off goes on
where it was, now by itself and later by the same command; after a day without a byte the rest is forgotten. Once Ready its bytes never change.
Exit codes: 0 done, 1 refused or failed, 3 not imported in time.`,
  async run(args, out) {
    const { values, positionals } = parseFlags('upload', args, {
      ...connectionFlags,
      file: { type: 'string' },
      cluster: { type: 'string' },
      'os-type': { type: 'string' },
      family: { type: 'string' },
      restart: { type: 'boolean', default: false },
      'no-wait': { type: 'boolean', default: false },
      timeout: { type: 'string', default: '2h' },
    });
    const name = imageNamed(positionals);
    const osType = values['os-type'];
    if (values.file === undefined) throw new UsageError('Give --file PATH. See "factoryctl upload --help".');
    if (osType !== undefined && !osTypes.includes(osType))
      throw new UsageError(`--os-type takes ${osTypes.join(', ')}, not "${osType}".`);
    const timeoutMs = readTimeout(values.timeout);
    await using file = await openLocalFile(values.file);
    const session = connect(values);
    const job: Job = { session, name, file, restart: values.restart, out };
    const sha256 = await file.digest((bytes) => say(job, `Reading ${file.path}`, bytes));
    const image = await findOrMake(job, sha256, {
      ...(osType && { osType }),
      ...(values.family && { family: values.family }),
    });
    const clusters = await clustersOf(job, image, values.cluster);
    for (const cluster of clusters) await uploadTo(job, cluster, sha256);
    if (values['no-wait']) return exit.ok;
    return await waitForImport(job, clusters, timeoutMs);
  },
};

interface Job {
  readonly session: Session;
  readonly name: string;
  readonly file: LocalFile;
  readonly restart: boolean;
  readonly out: Output;
}

type Row = NonNullable<NonNullable<Image['status']>['clusters']>[number];

const words: readonly string[] = [Image.singular, Image.plural, ...Image.shortNames];

/** `image NAME` or `image/NAME`. */
function imageNamed(positionals: readonly string[]): string {
  const [kind = '', name = '', ...more] = positionals.flatMap((word) => word.split('/'));
  if (words.includes(kind) && name !== '' && more.length === 0) return name;
  throw new UsageError('Name one image: factoryctl upload image NAME --file PATH. See "factoryctl upload --help".');
}

function pathOf({ namespace }: Session, name?: string): string {
  const { group, version, plural } = Image;
  const base = `/apis/${group}/${version}/namespaces/${encodeURIComponent(namespace)}/${plural}`;
  return name === undefined ? base : `${base}/${encodeURIComponent(name)}`;
}

const failed = (message: string): ApiError => new ApiError('Conflict', message);

async function findOrMake(job: Job, sha256: string, more: object): Promise<Image> {
  const { session, name, out } = job;
  const { group, version, kind } = Image;
  const spec = { source: { upload: {} }, checksum: `sha256:${sha256}`, ...more };
  const body = { apiVersion: `${group}/${version}`, kind, metadata: { name }, spec };
  try {
    const found = await session.request<Image>('GET', pathOf(session, name));
    requireFitting(job, found, sha256);
    return found;
  } catch (error) {
    if (!isCode(error, 'NotFound')) throw error;
  }
  const made = await session.request<Image>('POST', pathOf(session), { body });
  out.line(`image.${group}/${name} created`);
  return made;
}

function requireFitting({ name, file }: Job, { metadata, spec }: Image, sha256: string): void {
  if (!spec.source.upload)
    throw failed(
      `image ${name} is there already, and is not uploaded: its source is ${Object.keys(spec.source).join()}. Take another name`,
    );
  if (metadata.deletionTimestamp) throw failed(`image ${name} is being deleted: try again when it is gone`);
  const { checksum } = spec;
  if (checksum?.startsWith('sha256:') && checksum !== `sha256:${sha256}`)
    throw failed(
      `image ${name} is of another file: its spec.checksum is ${checksum}, and ${file.path} has sha256:${sha256}. Take another name`,
    );
}

/** To which it is to be uploaded. */
async function clustersOf(job: Job, image: Image, asked: string | undefined): Promise<readonly string[]> {
  const { name } = job;
  const rows = await rowsOf(job, image, asked);
  if (rows.every(({ phase }) => phase === 'Ready'))
    throw failed(
      `image ${name} is Ready already, and its bytes never change: new bytes are a new image under another name`,
    );
  return rows.filter(({ phase }) => phase !== 'Ready').map((row) => row.name);
}

async function rowsOf(job: Job, image: Image, asked: string | undefined): Promise<readonly Row[]> {
  const deadline = systemClock.monotonic() + preparedMs;
  for (let now = image; ; now = await look(job)) {
    const all = now.status?.clusters ?? [];
    const rows = all.filter((row) => asked === undefined || row.name === asked);
    if (rows.length > 0) return rows;
    const known = all.map((row) => row.name).join(', ') || 'none yet';
    if (all.length > 0 || systemClock.monotonic() > deadline)
      throw failed(
        `image ${job.name} cannot be uploaded to ${asked ?? 'any cluster'}: the clusters that take it are ${known}`,
      );
    say(job, 'Waiting for a cluster');
    await systemClock.sleep(lookEveryMs);
  }
}

const look = ({ session, name }: Job): Promise<Image> => session.request<Image>('GET', pathOf(session, name));

const rowIn = ({ status }: Image, cluster: string): Row | undefined =>
  status?.clusters?.find((row) => row.name === cluster);

async function uploadTo(job: Job, cluster: string, sha256: string): Promise<void> {
  const { session, name, file, restart, out } = job;
  if (!(await isAsked(job, cluster))) return;
  const path = `${pathOf(session, name)}/${uploadService}`;
  const query = (offset: number) => new URLSearchParams({ cluster, offset: `${offset}`, size: `${file.size}`, sha256 });
  try {
    await sendFile({
      ...{ file, sha256, restart, clock: systemClock, random: systemRandom },
      state: () => session.request<UploadState>('GET', `${path}?${new URLSearchParams({ cluster })}`),
      put: (offset, body, signal) =>
        session.send<UploadState>(`${path}?${query(offset)}`, body, file.size - offset, signal),
      isWaiting: async () => rowIn(await look(job), cluster)?.phase === 'WaitingForUpload',
      told: (bytes) => say(job, `Uploading ${name} to ${cluster}`, bytes),
      broke: ({ message }) => out.progress(`Trying again: ${message}`),
    });
  } catch (error) {
    if (!isCode(error, 'ServiceUnavailable')) throw error;
    const same = `factoryctl upload image ${name} -n ${session.namespace} --file ${file.path} --cluster ${cluster}`;
    throw new ApiError('ServiceUnavailable', `${error.message}. Go on with: ${same}`, { cause: error });
  }
  out.line(`image.${Image.group}/${name} uploaded to ${cluster}`);
}

/** False if the cluster has the file and imports it. One that has given up is asked anew, once. */
async function isAsked(job: Job, cluster: string): Promise<boolean> {
  const { session, name } = job;
  const deadline = systemClock.monotonic() + preparedMs;
  for (let isRestarted = false; ; ) {
    const { phase = 'Pending', host, message = '', terminal } = rowIn(await look(job), cluster) ?? {};
    if (phase === 'WaitingForUpload' && host !== undefined) return true;
    const isOver = phase === 'Failed' || (phase === 'Lost' && terminal === true);
    if (!isOver && phase !== 'WaitingForUpload') return false;
    if (systemClock.monotonic() > deadline) throw failed(`image ${name} cannot be uploaded to ${cluster}: ${message}`);
    if (isOver && !isRestarted) {
      const metadata = { annotations: { [annotations.restartedAt]: timestamp(systemClock.now()) } };
      const contentType = 'application/merge-patch+json';
      await session.request('PATCH', pathOf(session, name), { body: { metadata }, contentType });
      isRestarted = true;
    }
    say(job, `Waiting for a host of ${cluster}: ${message}`);
    await systemClock.sleep(lookEveryMs);
  }
}

async function waitForImport(job: Job, clusters: readonly string[], timeoutMs: number): Promise<number> {
  const { session, name, out } = job;
  const deadline = systemClock.monotonic() + timeoutMs;
  for (;;) {
    const image = await look(job);
    const rows = clusters.flatMap((cluster) => rowIn(image, cluster) ?? []);
    const bad = rows.find(({ phase }) => phase === 'Failed');
    if (bad) throw failed(`image ${name} was not imported into ${bad.name}: ${bad.message ?? 'no details'}`);
    const open = rows.find(({ phase }) => phase !== 'Ready');
    if (!open) {
      out.line(
        `image.${Image.group}/${name} is Ready in ${clusters.join(', ')}: sha256 ${rows[0]?.digest ?? ''} as stored`,
      );
      return exit.ok;
    }
    const why = `${open.name}: ${open.phase ?? 'Pending'}${open.message ? `, ${open.message}` : ''}`;
    if (systemClock.monotonic() > deadline) {
      out.error(
        `image ${name} is uploaded, and not imported in time. ${why}. See "factoryctl why img ${name} -n ${session.namespace}".`,
      );
      return exit.timeout;
    }
    say(job, why);
    await systemClock.sleep(lookEveryMs);
  }
}

const rates = new WeakMap<Job, { readonly rate: Rate; what: string; saidMs: number }>();

/** One line, now and then: on a terminal it is overwritten, elsewhere it is kept. */
function say(job: Job, what: string, bytes?: number): void {
  const { out, file } = job;
  const nowMs = systemClock.monotonic();
  const everyMs = out.isTerminal ? 500 : 10_000;
  const before = rates.get(job);
  const said = before?.what === what ? before : { rate: new Rate(), what, saidMs: Number.NEGATIVE_INFINITY };
  rates.set(job, said);
  const rate = bytes === undefined ? 0 : said.rate.at(nowMs, bytes);
  if (nowMs - said.saidMs < everyMs && bytes !== file.size) return;
  said.saidMs = nowMs;
  out.progress(bytes === undefined ? what : `${what}: ${progressText(bytes, file.size, rate)}`);
}
