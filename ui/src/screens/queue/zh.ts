import type { SameKeys } from '../../i18n/words.ts';
import type { en } from './en.ts';

export const zh: SameKeys<typeof en> = {
  title: '队列',
  note: '等待空闲槽位的请求，按获得槽位的顺序排列',
  size: '等待中',
  oldest: '最久',
  service: '槽位平均占用',
  serviceNote: '平均值',
  outside: '在外等待',
  outsideNote: '直到有空间',
  find: '键、路径或上游',
  upstream: '上游',
  columns: { position: '#', upstream: '上游', path: '路径', key: '键', class: '级别', scope: '范围', age: '已等待', estimate: '预计', cancel: '' },
  cancel: '取消',
  cancelTitle: '取消此请求？',
  cancelText: (path: string) => `${path} 会得到 503，不再等待。客户端可以重试。`,
  request: (upstream: string) => `发往 ${upstream} 的请求`,
  cancelYes: '取消请求',
  cancelled: '已不再等待',
  empty: '没有等待的请求',
  emptyText: '当所有可用槽位都被占用时，请求会在这里等待；一有空闲就会离开。',
  soon: '马上',
  about: (time: string) => `约 ${time}`,
  more: (count: string) => `后面还有 ${count} 个。`,
};
