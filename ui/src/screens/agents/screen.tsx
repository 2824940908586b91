import { Page } from '../../design/page.tsx';

export default function Screen() {
  return <Page title="agents">{null}</Page>;
}
