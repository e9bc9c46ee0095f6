/** Sentences for people, by the reason word that programs read. */
export const messageOfReason = {
  GuestShutdown: 'The guest turned itself off',
  GuestCrashed: 'The guest or its QEMU process crashed',
  CrashLoop: 'The guest crashed three times within ten minutes',
  HostLost: 'The host was rebooted or lost its power',
  PowerCut: 'The domain was powered off or removed from outside',
} as const;
