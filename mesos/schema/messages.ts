/**
 * The messages of Mesos' v1 API that the four APIs share (include/mesos/v1/mesos.proto), as far as anything we send or have seen has
 * them. One line per message: `name kind` separated by commas; `!` required, `[]` repeated, `{}` a map from strings. Kinds are string,
 * bool, double, int32, int64 (signed or not), bytes (base64), another message, or `A|B` for an enum. Enums that grow with every version
 * (reasons, capabilities) are strings here, so that a new word is no error.
 */
export const messages: Readonly<Record<string, string>> = {
  Id: 'value string!',
  ContainerId: 'value string!, parent ContainerId',
  TimeInfo: 'nanoseconds int64!',
  /** google.protobuf.Duration; Mesos' JSON has it as an object, not as "5s". */
  Duration: 'seconds int64, nanos int32',
  Label: 'key string!, value string',
  Labels: 'labels Label[]',
  Scalar: 'value double!',
  Range: 'begin int64!, end int64!',
  Ranges: 'range Range[]',
  Set: 'item string[]',
  Text: 'value string!',
  Uuid: 'value bytes!',
  Uri: 'value string!, executable bool, extract bool, cache bool, output_file string',
  Address: 'hostname string, ip string, port int32!',
  Parameter: 'key string!, value string!',
  Url: 'scheme string!, address Address!, path string, query Parameter[], fragment string',
  Capability: 'type string',
  Secret: 'type UNKNOWN|REFERENCE|VALUE, reference SecretReference, value SecretValue',
  SecretReference: 'name string!, key string',
  SecretValue: 'data bytes!',
  Variable: 'name string!, type UNKNOWN|VALUE|SECRET, value string, secret Secret',
  Environment: 'variables Variable[]',
  CommandInfo: 'uris Uri[], environment Environment, shell bool, value string, arguments string[], user string',

  Zone: 'name string!',
  FaultDomain: 'region Zone!, zone Zone!',
  DomainInfo: 'fault_domain FaultDomain',
  MasterInfo:
    'id string!, ip int64!, port int32!, pid string, hostname string, version string, address Address, domain DomainInfo, ' +
    'capabilities Capability[]',
  Attribute: 'name string!, type SCALAR|RANGES|SET|TEXT!, scalar Scalar, ranges Ranges, set Set, text Text',

  ReservationInfo: 'type UNKNOWN|STATIC|DYNAMIC, role string, principal string, labels Labels',
  AllocationInfo: 'role string',
  DiskPersistence: 'id string!, principal string',
  DiskPath: 'root string',
  DiskSource:
    'type UNKNOWN|PATH|MOUNT|BLOCK|RAW!, path DiskPath, mount DiskPath, vendor string, id string, metadata Labels, profile string',
  Volume: 'mode RW|RO!, container_path string!, host_path string',
  DiskInfo: 'persistence DiskPersistence, volume Volume, source DiskSource',
  Empty: '',
  Resource:
    'provider_id Id, name string!, type SCALAR|RANGES|SET!, scalar Scalar, ranges Ranges, set Set, role string, ' +
    'allocation_info AllocationInfo, reservation ReservationInfo, reservations ReservationInfo[], disk DiskInfo, revocable Empty, ' +
    'shared Empty',

  Quantities: 'quantities Scalar{}',
  MinAllocatable: 'quantities Quantities[]',
  OfferFilters: 'min_allocatable_resources MinAllocatable',
  FrameworkInfo:
    'user string!, name string!, id Id, failover_timeout double, checkpoint bool, role string, roles string[], hostname string, ' +
    'principal string, webui_url string, capabilities Capability[], labels Labels, offer_filters OfferFilters{}',
  KillPolicy: 'grace_period TimeInfo',
  ExecutorInfo:
    'type UNKNOWN|DEFAULT|CUSTOM, executor_id Id!, framework_id Id, command CommandInfo, container ContainerInfo, ' +
    'resources Resource[], name string, source string, data bytes, discovery DiscoveryInfo, shutdown_grace_period TimeInfo, ' +
    'labels Labels',
  Port: 'number int32!, name string, protocol string, labels Labels',
  Ports: 'ports Port[]',
  DiscoveryInfo:
    'visibility FRAMEWORK|CLUSTER|EXTERNAL!, name string, environment string, location string, version string, ports Ports, labels Labels',
  /** Containers are given to Mesos by others than us: what is in them is not looked at. */
  ContainerInfo: 'type DOCKER|MESOS!, *',
  TaskInfo:
    'name string!, task_id Id!, agent_id Id!, resources Resource[], limits Scalar{}, executor ExecutorInfo, command CommandInfo, ' +
    'container ContainerInfo, health_check Opaque, check Opaque, data bytes, labels Labels, discovery DiscoveryInfo, ' +
    'kill_policy KillPolicy, max_completion_time TimeInfo',
  Opaque: '*',
  TaskGroupInfo: 'tasks TaskInfo[]',
  Task:
    'name string!, task_id Id!, framework_id Id!, executor_id Id, agent_id Id!, state TaskState!, status_update_state TaskState, ' +
    'status_update_uuid bytes, statuses TaskStatus[], resources Resource[], limits Scalar{}, labels Labels, discovery DiscoveryInfo, ' +
    'container ContainerInfo, user string, health_check Opaque, kill_policy KillPolicy, max_completion_time TimeInfo',
  IpAddress: 'protocol string, ip_address string',
  NetworkInfo: 'ip_addresses IpAddress[], name string, groups string[], labels Labels, port_mappings Opaque[]',
  ContainerStatus: 'container_id ContainerId, network_infos NetworkInfo[], cgroup_info Opaque, executor_pid int32',
  CheckStatusInfo: 'type string, *',
  TaskStatus:
    'task_id Id!, state TaskState!, message string, source SOURCE_MASTER|SOURCE_AGENT|SOURCE_EXECUTOR, reason string, data bytes, ' +
    'agent_id Id, executor_id Id, timestamp double, uuid bytes, healthy bool, check_status CheckStatusInfo, labels Labels, ' +
    'container_status ContainerStatus, unreachable_time TimeInfo, limitation Opaque',
  Unavailability: 'start TimeInfo!, duration TimeInfo',
  Offer:
    'id Id!, framework_id Id!, agent_id Id!, hostname string!, url Url, domain DomainInfo, resources Resource[], attributes Attribute[], ' +
    'executor_ids Id[], unavailability Unavailability, allocation_info AllocationInfo',
  InverseOffer: 'id Id!, url Url, framework_id Id!, agent_id Id, unavailability Unavailability!, resources Resource[]',
  AgentInfo:
    'hostname string!, port int32, resources Resource[], attributes Attribute[], id Id, checkpoint bool, domain DomainInfo',
  Filters: 'refuse_seconds double',

  OperationLaunch: 'task_infos TaskInfo[]',
  OperationLaunchGroup: 'executor ExecutorInfo!, task_group TaskGroupInfo!',
  OperationReserve: 'source Resource[], resources Resource[]',
  OperationUnreserve: 'resources Resource[]',
  OperationCreate: 'volumes Resource[]',
  OperationGrow: 'volume Resource!, addition Resource!',
  OperationShrink: 'volume Resource!, subtract Scalar!',
  OperationCreateDisk: 'source Resource!, target_type string!, target_profile string',
  OperationDestroyDisk: 'source Resource!',
  Operation:
    'type LAUNCH|LAUNCH_GROUP|RESERVE|UNRESERVE|CREATE|DESTROY|GROW_VOLUME|SHRINK_VOLUME|CREATE_DISK|DESTROY_DISK, id Id, ' +
    'launch OperationLaunch, launch_group OperationLaunchGroup, reserve OperationReserve, unreserve OperationUnreserve, ' +
    'create OperationCreate, destroy OperationCreate, grow_volume OperationGrow, shrink_volume OperationShrink, ' +
    'create_disk OperationCreateDisk, destroy_disk OperationDestroyDisk',
  OperationStatus:
    'operation_id Id, state string!, message string, converted_resources Resource[], uuid Uuid, agent_id Id, resource_provider_id Id',
  OperationRecord:
    'framework_id Id, agent_id Id, info Operation!, latest_status OperationStatus!, statuses OperationStatus[], uuid Uuid!',

  Selector: 'attribute_name string, pseudoattribute_type string',
  PredicateText: 'value string!',
  PredicateRegex: 'regex string!',
  Predicate:
    'exists Empty, not_exists Empty, text_equals PredicateText, text_not_equals PredicateText, text_matches PredicateRegex, ' +
    'text_not_matches PredicateRegex',
  AttributeConstraint: 'selector Selector!, predicate Predicate!',
  ConstraintGroup: 'attribute_constraints AttributeConstraint[]',
  RoleConstraints: 'groups ConstraintGroup[]',
  OfferConstraints: 'role_constraints RoleConstraints{}',

  MachineId: 'hostname string, ip string',
  Window: 'machine_ids MachineId[], unavailability Unavailability!',
  Schedule: 'windows Window[]',
  InverseOfferStatus: 'status UNKNOWN|ACCEPT|DECLINE!, framework_id Id!, timestamp TimeInfo!',
  DrainingMachine: 'id MachineId!, statuses InverseOfferStatus[]',
  MaintenanceStatus: 'draining_machines DrainingMachine[], down_machines MachineId[]',
  QuotaConfig: 'role string!, guarantees Scalar{}, limits Scalar{}',
  QuotaInfo: 'role string, principal string, guarantee Resource[]',
  QuotaStatus: 'infos QuotaInfo[], configs QuotaConfig[]',
  QuotaRequest: 'force bool, role string, guarantee Resource[]',
  WeightInfo: 'weight double!, role string',
  DrainConfig: 'max_grace_period TimeInfo, mark_gone bool',
  DrainInfo: 'state UNKNOWN|DRAINING|DRAINED!, config DrainConfig!',
  Role: 'name string!, weight double!, frameworks Id[], resources Resource[]',
  Flag: 'name string!, value string',
  Metric: 'name string!, value double',
  VersionInfo:
    'version string!, build_date string, build_time double, build_user string, git_sha string, git_branch string, git_tag string',
  FileInfo: 'path string!, nlink int32, size int64, mtime TimeInfo, mode int32, uid string, gid string',
};

/** TaskState, written out once. */
export const taskStates =
  'TASK_STAGING|TASK_STARTING|TASK_RUNNING|TASK_KILLING|TASK_FINISHED|TASK_FAILED|TASK_KILLED|TASK_ERROR|TASK_LOST|TASK_DROPPED|' +
  'TASK_UNREACHABLE|TASK_GONE|TASK_GONE_BY_OPERATOR|TASK_UNKNOWN';
