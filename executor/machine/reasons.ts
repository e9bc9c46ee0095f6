/** Sentences for people, by the reason word that programs read. */
export const messageOfReason = {
  GuestShutdown: 'The guest turned itself off',
  GuestCrashed: 'The guest or its QEMU process crashed',
  CrashLoop: 'The guest crashed, or failed its probes, three times within ten minutes',
  HostLost: 'The host was rebooted or lost its power',
  SelfFenced:
    'The host had lost the cluster server for longer than spec.disconnect.selfFenceAfter, and switched the machine off: it may run elsewhere',
  PowerCut: 'The domain was powered off or removed from outside',
  SecretsAwaited: 'Waits for the secrets of its seed, which the cluster server sends once it has read them',
  SecretsNotReceived:
    'The secrets of the seed did not come within 5 minutes: look at condition ConfigReady of the machine and at the log of the cluster server',
} as const;
