/** The Mesos agent of a host and the executors that it starts, as lives of one host. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Claims } from '#executor/claim.ts';
import { runExecutor } from '#executor/executor.ts';
import { Journal } from '#executor/journal/journal.ts';
import { VirtualMachine } from '#lib/api/generated/index.ts';
import { kindId } from '#lib/client/kind-id.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { Opener } from '#lib/std/sealed-box.ts';
import { readExecutorEnvironment } from '#mesos/executor-environment.ts';
import type { Connect } from '#mesos/http.ts';
import { startAgent } from '#mesos/local/agent/agent.ts';
import type { Handle, Launcher } from '#mesos/local/agent/launcher.ts';
import { parseAttributes, parseResources } from '#mesos/local/resources.ts';
import type { RealHost } from './host.ts';
import type { Life } from './life.ts';
import type { World } from './world.ts';

/** Machines here have no secrets, and a key made by chance would be in the trace. */
const noSecrets: Opener = {
  publicKey: 'none',
  open() {
    throw new Error('There are no secrets here');
  },
};

/** Ends with its process, however that ends: a lock of a dead process is no lock. */
class ProcessJournal extends Journal {
  #isOpen = true;

  override [Symbol.dispose](): void {
    if (this.#isOpen) super[Symbol.dispose]();
    this.#isOpen = false;
  }
}

/** Whose a host is, as the file in which that is written: it outlives every process. */
class HostClaims {
  readonly #clock: Clock;
  readonly #watchers = new Set<() => void>();
  #owner = '';

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  forLife(life: Life): Claims {
    return {
      take: (incarnation) => {
        this.#owner = incarnation;
        for (const look of this.#watchers) look();
      },
      watch: (incarnation, onLost) => {
        // Who looks every second sees it within one.
        const look = () => this.#clock.timeout(() => life.enter(see), life.random.next() * 1000);
        const see = () => this.#owner !== incarnation && this.#watchers.delete(look) && onLost();
        this.#watchers.add(look);
        if (this.#owner !== incarnation) look();
        const stop = () => void this.#watchers.delete(look);
        life.onEnd(stop);
        return { [Symbol.dispose]: stop };
      },
    };
  }
}

/** What the agent takes for the executor: the supervisor. Its worker may die and come back under it. */
class Supervisor {
  readonly sandbox: string;
  readonly exited = Promise.withResolvers<number>();
  readonly #host: HostProcesses;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #incarnation: string;
  worker: Life | undefined;
  alive = true;

  constructor(host: HostProcesses, environment: Readonly<Record<string, string>>, sandbox: string) {
    this.#host = host;
    this.#environment = environment;
    this.sandbox = sandbox;
    this.#incarnation = host.world.random.uuid();
    host.world.clock.timeout(() => this.alive && this.#startWorker(), host.startDelayMs);
  }

  /** kill -9 of the process group. */
  kill(status = 9): void {
    if (!this.alive) return;
    this.alive = false;
    this.worker?.kill();
    this.#host.supervisors.delete(this);
    this.exited.resolve(status);
  }

  #startWorker(): void {
    const processes = this.#host;
    const { world, host, root } = processes;
    const life = world.newLife(`${host.hostname}/executor`);
    this.worker = life;
    const again = () => world.clock.timeout(() => this.alive && this.#startWorker(), 500);
    life.onEnd(() => this.alive && again());
    const stop = new AbortController();
    runExecutor(
      {
        config: {
          hypervisor: 'sim',
          root,
          imageStore: '/images',
          importDir: '/import',
          allowPrivateSources: ['127.0.0.0/8'],
          allowPrivateEgress: [],
          bootIdFile: '',
          sim: { bootMs: 0, agents: false },
        },
        environment: readExecutorEnvironment({ ...this.#environment }),
        incarnation: this.#incarnation,
        ...{ host: host.hostFor(life), importImage: host.importFor(life) },
        ...{ clock: life.clock, random: life.random, log: world.logOf(life) },
        connect: world.network.connectFrom(life),
        migrations: world.links.forLife(life),
        claims: this.#host.claims.forLife(life),
        opener: noSecrets,
        openJournal(incarnation) {
          const journal = new ProcessJournal(join(root, 'journal.db'), incarnation);
          processes.journal = journal;
          life.onEnd(() => {
            if (processes.journal === journal) processes.journal = undefined;
            journal[Symbol.dispose]();
          });
          return journal;
        },
      },
      stop.signal,
    ).then(
      () => !life.dead && this.kill(0),
      (error: unknown) => {
        world.logOf(life).error('The worker ended', { error });
        life.kill();
      },
    );
  }
}

export class HostProcesses {
  readonly world: World;
  readonly host: RealHost;
  readonly root: string;
  readonly address: string;
  readonly supervisors = new Set<Supervisor>();
  readonly claims: HostClaims;
  /** Undefined while it is down. */
  agent: Life | undefined;
  /** Of the executor that opened it last. Undefined while that one is down. */
  journal: ProcessJournal | undefined;
  /** So long it takes until a new executor is up. */
  startDelayMs = 0;
  /** After a power cut somebody said that nothing of it runs any more. */
  isVouched = false;
  #wipes = 0;

  constructor(world: World, host: RealHost, address: string) {
    this.world = world;
    this.host = host;
    this.address = address;
    this.claims = new HostClaims(world.clock);
    this.root = join(world.directory, host.hostname, 'root');
    mkdirSync(this.root, { recursive: true });
  }

  startAgent(): void {
    if (this.agent && !this.agent.dead) return;
    const { world, host } = this;
    const life = world.newLife(`${host.hostname}/agent`);
    this.agent = life;
    const running = startAgent({
      ...{ host: this.address, port: 5051, master: world.masterUrls[0], hostname: host.hostname },
      workDir: join(world.directory, host.hostname, `agent-${this.#wipes}`),
      resources: parseResources(host.resources),
      reconfigurationPolicy: 'additive',
      attributes: parseAttributes(`name:${host.hostname}`),
      launcher: this.#launcher(life),
      ...{ serve: world.network.serveIn(life), connect: this.#connectToLeader(life), turn: async () => undefined },
      ...{ clock: life.clock, random: life.random, log: world.logOf(life) },
    });
    running.catch((error: unknown) => world.failed(`The agent of ${host.hostname} did not start: ${String(error)}`));
  }

  killAgent(): void {
    this.agent?.kill();
  }

  /** Its work directory is lost: it comes back as another agent, its executors are nobody's. */
  wipeAgent(): void {
    this.killAgent();
    this.#wipes++;
  }

  killExecutors(): void {
    for (const each of [...this.supervisors]) each.kill();
  }

  killWorkers(): void {
    for (const each of [...this.supervisors]) each.worker?.kill();
  }

  /** The disk with the journal is lost: the executor's next worker knows nothing of its tasks, whatever Mesos says. */
  loseJournal(): void {
    this.killWorkers();
    const { forgotten, api } = this.world;
    for (const object of api.store.list(kindId(VirtualMachine))) {
      const { attempt, migration } = (object as VirtualMachine).status ?? {};
      for (const place of [attempt, migration])
        if (place?.host === this.host.hostname) forgotten.add(place.taskID ?? '');
    }
    for (const file of ['journal.db', 'journal.db-wal', 'journal.db-shm'])
      rmSync(join(this.root, file), { force: true });
  }

  /** Another executor has the host now than the one that this task was given to: nobody there answers for the task any more. */
  disowns(taskId: string): boolean {
    return this.journal !== undefined && !this.journal.has(taskId);
  }

  powerCut(): void {
    this.killAgent();
    this.killExecutors();
    this.host.reboot();
  }

  /** ZooKeeper tells an agent where to go: always to the master that this host takes for the leader. */
  #connectToLeader(life: Life): Connect {
    const connect = this.world.network.connectFrom(life);
    return (target) => connect({ ...target, origin: this.world.leaderSeenBy(this.host.hostname) });
  }

  #launcher(life: Life): Launcher {
    const handleOf = (supervisor: Supervisor): Handle => ({
      exited: life.answer(supervisor.exited.promise),
      kill: () => supervisor.kill(),
    });
    return {
      launch: (_command, environment, sandbox) => {
        const supervisor = new Supervisor(this, environment, sandbox);
        this.supervisors.add(supervisor);
        return handleOf(supervisor);
      },
      adopt: ({ sandbox }) => {
        const found = [...this.supervisors].find((each) => each.sandbox === sandbox);
        return found && handleOf(found);
      },
    };
  }
}
